//! Keys of the embedded engine: big-endian, so that the order of bytes is the order of the CQL clustering columns.

use fjall::Slice;
use rookery_model::Timestamp;
use smallvec::SmallVec;

use crate::StoreError;
use crate::tables::Table;

/// The longest text that may stand in a key, bytes.
const TEXT_MAX_BYTES: usize = 1_024;
/// Set in the key of a moment after 1970, so that earlier ones come before.
const SIGN: u64 = 1 << 63;

/// A key under construction; also a prefix for scans.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(SmallVec<[u8; 48]>);

impl Key {
    /// The empty prefix of a table.
    pub fn of(table: Table) -> Self {
        Self(table.tag().into_iter().collect())
    }
    /// A key as it was read.
    pub fn stored(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().collect())
    }
    /// An id in ascending order.
    pub fn id(mut self, id: u64) -> Self {
        self.0.extend_from_slice(&id.to_be_bytes());
        self
    }
    /// An id in descending order: newest first.
    pub fn newest_first(mut self, id: u64) -> Self {
        self.0.extend_from_slice(&(!id).to_be_bytes());
        self
    }
    /// A moment in ascending order.
    pub fn moment(self, moment: Timestamp) -> Self {
        self.id(moment.0.cast_unsigned() ^ SIGN)
    }
    /// A moment in descending order.
    pub fn newest_moment_first(self, moment: Timestamp) -> Self {
        self.newest_first(moment.0.cast_unsigned() ^ SIGN)
    }
    /// A bucket in descending order.
    pub fn bucket(mut self, bucket: u32) -> Self {
        self.0.extend_from_slice(&(!bucket).to_be_bytes());
        self
    }
    /// A small number that tells kinds of rows apart.
    pub fn kind(mut self, kind: u8) -> Self {
        self.0.push(kind);
        self
    }
    /// A text in the middle of a key; see [`check_text`] for what it may hold.
    pub fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }
    /// Bytes that end the key.
    pub fn tail(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// The engine's form.
    pub fn into_slice(self) -> Slice {
        Slice::from(&self.0[..])
    }
    /// The smallest key above all that begin with this one.
    pub fn end(&self) -> SmallVec<[u8; 48]> {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return end;
            }
        }
        // Only a prefix of 0xff bytes has no successor; every such key is below 49 of them.
        SmallVec::from_elem(u8::MAX, 49)
    }
}

/// The parts of a stored key, from left to right.
pub(crate) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// Begins behind a prefix that the caller scanned.
    pub fn after(key: &'a [u8], prefix: &Key) -> Option<Self> {
        key.strip_prefix(prefix.as_bytes()).map(Self)
    }
    /// Begins at the first column of a table's key.
    pub fn of(key: &'a [u8], table: Table) -> Option<Self> {
        Self::after(key, &Key::of(table))
    }
    /// An ascending id.
    pub fn id(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*head))
    }
    /// A descending id.
    pub fn newest_first(&mut self) -> Option<u64> {
        self.id().map(|id| !id)
    }
    /// An ascending moment.
    pub fn moment(&mut self) -> Option<Timestamp> {
        self.id().map(|raw| Timestamp((raw ^ SIGN).cast_signed()))
    }
    /// A bucket.
    pub fn bucket(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(!u32::from_be_bytes(*head))
    }
    /// A kind.
    pub fn kind(&mut self) -> Option<u8> {
        let (head, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*head)
    }
    /// A text in the middle.
    #[cfg(test)]
    pub fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()
    }
    /// What is left.
    pub fn tail(self) -> &'a [u8] {
        self.0
    }
}

/// Refuses texts that keys cannot hold: too long, or with a NUL, which ends a text inside a key.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), StoreError> {
    if text.len() > TEXT_MAX_BYTES {
        return Err(StoreError::Invalid(format!("{what} is longer than {TEXT_MAX_BYTES} bytes")));
    }
    if text.as_bytes().contains(&0) {
        return Err(StoreError::Invalid(format!("{what} holds a NUL character")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_bytes_is_order_of_columns() {
        let key = |channel: u64, message: u64| Key::of(Table::Pins).id(channel).newest_first(message);
        assert!(key(1, 5).as_bytes() < key(1, 4).as_bytes());
        assert!(key(1, 0).as_bytes() < key(2, u64::MAX).as_bytes());
        assert!(key(255, 1).as_bytes() < key(256, 1).as_bytes());
        let moments = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp);
        for pair in moments.windows(2) {
            let key = |at| Key::of(Table::Outbox).moment(at);
            assert!(key(pair[0]).as_bytes() < key(pair[1]).as_bytes(), "{pair:?}");
            let key = |at| Key::of(Table::MessageEdits).newest_moment_first(at);
            assert!(key(pair[0]).as_bytes() > key(pair[1]).as_bytes(), "{pair:?}");
        }
        let texts = ["", "a", "a\u{1}", "ab", "b", "é", "🦀"];
        for pair in texts.windows(2) {
            let key = |text| Key::of(Table::Reactions).text(text).id(7);
            assert!(key(pair[0]).as_bytes() < key(pair[1]).as_bytes(), "{pair:?}");
        }
    }

    #[test]
    fn parts_come_back() {
        let key = Key::of(Table::Reactions)
            .id(7)
            .newest_first(9)
            .bucket(3)
            .moment(Timestamp(-4))
            .kind(2)
            .text("🦀")
            .tail(b"rest");
        let mut parts = Parts::of(key.as_bytes(), Table::Reactions).unwrap();
        assert_eq!(parts.id(), Some(7));
        assert_eq!(parts.newest_first(), Some(9));
        assert_eq!(parts.bucket(), Some(3));
        assert_eq!(parts.moment(), Some(Timestamp(-4)));
        assert_eq!(parts.kind(), Some(2));
        assert_eq!(parts.text(), Some("🦀"));
        assert_eq!(parts.tail(), b"rest");
        assert!(Parts::of(b"", Table::Reactions).is_none());
    }

    #[test]
    fn end_of_a_prefix_is_above_all_that_begin_with_it() {
        let prefix = Key::of(Table::Pins).id(0x00ff);
        let end = prefix.end();
        assert!(prefix.clone().id(u64::MAX).as_bytes() < &end[..]);
        assert!(Key::of(Table::Pins).id(0x0100).as_bytes() >= &end[..]);
    }

    #[test]
    fn nul_and_overlong_texts_are_refused() {
        assert!(check_text("emoji", "a\0b").is_err());
        assert!(check_text("emoji", &"x".repeat(TEXT_MAX_BYTES + 1)).is_err());
        assert!(check_text("emoji", "🦀").is_ok());
    }
}
