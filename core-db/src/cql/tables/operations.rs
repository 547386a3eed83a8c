//! `operations`: outcomes of mutations under their operation ids, kept for minutes.

use rookery_model::UserId;
use rookery_model::store::OperationRow;

use super::prelude::*;
use crate::cql::clock::now_ms;

/// The longest operation id, bytes; a UUID has 16.
const ID_MAX_BYTES: usize = 64;

const COLUMNS: &[&str] = &["operation_id", "user_id", "reply"];

/// The table's statements.
pub struct Operations {
    put: Statement,
    get: Statement,
    retention_ms: u64,
}

impl Operations {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Operations);
        let put = format!("{} USING TIMESTAMP ? AND TTL ?", table.insert_text(COLUMNS));
        let (put, get) = tokio::try_join!(table.write(put), table.select(&["user_id", "reply"], "operation_id = ?"))?;
        Ok(Self { put, get, retention_ms: preparer.config.operation_retention_ms })
    }

    pub fn put(&self, operation: &OperationRow, at: i64) -> Result<Mutation, StoreError> {
        let OperationRow { id, user_id, reply } = operation;
        if id.len() > ID_MAX_BYTES {
            return Err(StoreError::Invalid(format!("an operation id is longer than {ID_MAX_BYTES} bytes")));
        }
        if id.is_empty() {
            return Err(StoreError::Invalid("an operation id is empty".into()));
        }
        // Twenty years, in seconds, is the most that CQL takes.
        let ttl = i32::try_from(self.retention_ms.div_ceil(1_000)).unwrap_or(i32::MAX).min(20 * 365 * 24 * 3_600);
        let values = (id.clone(), blank_id(*user_id), reply.clone(), at, ttl);
        self.put.with_sized(Partition::Alone, reply.len(), values)
    }

    pub async fn get(&self, calls: &Calls, id: &[u8]) -> Result<Option<OperationRow>, StoreError> {
        // What is as old as its id says is not asked for: an answer would depend on when the cluster forgets it.
        if id.is_empty() || id.len() > ID_MAX_BYTES || self.is_over(id, now_ms()) {
            return Ok(None);
        }
        let row: Option<(Blank<i64>, Vec<u8>)> = calls.row(&self.get, (id,)).await?;
        let operation =
            |(user_id, reply)| OperationRow { id: id.to_vec(), user_id: id_or_none::<UserId>(user_id), reply };
        Ok(row.map(operation))
    }

    /// Whether an id is older than outcomes are kept: the first 48 bits of a UUIDv7 are Unix milliseconds.
    fn is_over(&self, id: &[u8], now_ms: u64) -> bool {
        let made_ms = |time: &[u8; 6]| time.iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte));
        id.first_chunk::<6>().map(made_ms).is_some_and(|made_ms| made_ms.saturating_add(self.retention_ms) < now_ms)
    }
}
