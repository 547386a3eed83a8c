//! Buckets: fixed spans of snowflake time that bound the size of partitions.

use rookery_model::id::EPOCH_MS;
use rookery_model::{MessageId, Snowflake};

/// Ten days. It is part of the schema: changing it moves every message.
pub(crate) const BUCKET_SPAN_MS: u64 = 10 * 24 * 3_600 * 1_000;

/// The bucket of a message.
pub(crate) fn bucket_of(id: MessageId) -> u32 {
    bucket_of_id(id.0)
}

/// The bucket of anything that has an id.
pub(crate) fn bucket_of_id(id: Snowflake) -> u32 {
    // 42 bits of milliseconds over ten days stay below 2^13.
    u32::try_from((id.unix_ms() - EPOCH_MS) / BUCKET_SPAN_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_change_every_ten_days_and_cover_every_id() {
        let at = |ms| bucket_of(MessageId(Snowflake::floor_of_ms(EPOCH_MS + ms)));
        assert_eq!((at(0), at(BUCKET_SPAN_MS - 1), at(BUCKET_SPAN_MS)), (0, 0, 1));
        assert_eq!(bucket_of(MessageId::new(u64::MAX)), 5_090);
    }
}
