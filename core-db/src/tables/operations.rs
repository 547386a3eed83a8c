//! `operations`: outcomes of mutations under their operation ids, kept for minutes.

use rookery_model::UserId;
use rookery_model::store::OperationRow;

use super::{Sink, Table, View};
use crate::StoreError;
use crate::key::Key;
use crate::row::{self, ColumnError, ColumnReader, Columns};

/// The longest operation id, bytes; a UUID has 16.
const ID_MAX_BYTES: usize = 64;

mod column {
    pub const USER_ID: u8 = 1;
    pub const REPLY: u8 = 2;
}

/// The key of an operation; ids are time-ordered, and so are the keys.
pub fn key(id: &[u8]) -> Key {
    Key::of(Table::Operations).tail(id)
}

pub fn put(sink: &mut impl Sink, operation: &OperationRow) -> Result<(), StoreError> {
    let OperationRow { id, user_id, reply } = operation;
    if id.len() > ID_MAX_BYTES {
        return Err(StoreError::Invalid(format!("an operation id is longer than {ID_MAX_BYTES} bytes")));
    }
    let mut row = Columns::new();
    row.some_number(column::USER_ID, user_id.map(UserId::get));
    row.bytes(column::REPLY, reply);
    sink.put(Table::Operations, key(id), row.finish()?);
    Ok(())
}

pub fn get(view: &impl View, id: &[u8]) -> Result<Option<OperationRow>, StoreError> {
    if id.len() > ID_MAX_BYTES {
        return Ok(None);
    }
    let key = key(id);
    let Some(bytes) = view.get(Table::Operations, &key)? else { return Ok(None) };
    let columns = ColumnReader::new(Table::Operations, key.as_bytes(), &bytes)?;
    let row = read(id, columns).map_err(|reason| row::corrupt(Table::Operations, key.as_bytes(), reason))?;
    Ok(Some(row))
}

fn read(id: &[u8], mut columns: ColumnReader<'_>) -> Result<OperationRow, ColumnError> {
    let mut row = OperationRow { id: id.to_vec(), user_id: None, reply: Vec::new() };
    while let Some((column, value)) = columns.next()? {
        match column {
            column::USER_ID => row.user_id = Some(UserId::new(row::number(value)?)),
            column::REPLY => row.reply = value.to_vec(),
            _ => {}
        }
    }
    Ok(row)
}

/// The key below which operations are older than a moment: the first 48 bits of a UUIDv7 are Unix milliseconds.
pub fn older_than(unix_ms: u64) -> Key {
    Key::of(Table::Operations).tail(&unix_ms.to_be_bytes()[2..])
}
