//! Values of the embedded engine: how a row becomes bytes.
//!
//! Rows must survive versions that add fields, in both directions, because this version and the previous one run side
//! by side. Formats without field names (postcard, bincode) cannot do that, and the model's ids need a self-describing
//! format. So most tables hold CBOR maps with field names. The two tables written with every message hold numbered
//! columns instead: a third of the bytes and of the CPU, and as additive, since unknown columns are skipped and absent
//! ones take their default. A first byte tells the format's version.

use fjall::Slice;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::tables::Table;

/// The version of both formats.
const VERSION: u8 = 1;
/// The largest row, bytes; the API's own limits stay far below.
const ROW_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A CBOR row.
pub(crate) fn encode<T: Serialize>(row: &T) -> Result<Slice, StoreError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(VERSION);
    ciborium::into_writer(row, &mut bytes).map_err(|error| StoreError::Invalid(error.to_string()))?;
    finish(bytes)
}

/// Reads a CBOR row; the table and key name it when it is damaged.
pub(crate) fn decode<T: DeserializeOwned>(table: Table, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    let body = body(table, key, bytes)?;
    ciborium::from_reader(body).map_err(|error| corrupt(table, key, error.to_string()))
}

/// The error for a row that cannot be understood.
pub(crate) fn corrupt(table: Table, key: &[u8], reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { table: table.name(), key: hex(key), reason: reason.into() }
}

/// Bytes in hexadecimal, as errors name keys.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn body<'a>(table: Table, key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((version, _)) => Err(corrupt(table, key, format!("row format {version} is not known"))),
        None => Err(corrupt(table, key, "empty row")),
    }
}

fn finish(bytes: Vec<u8>) -> Result<Slice, StoreError> {
    if bytes.len() > ROW_MAX_BYTES {
        return Err(StoreError::Invalid(format!("a row of {} bytes is larger than {ROW_MAX_BYTES}", bytes.len())));
    }
    Ok(Slice::from(bytes))
}

/// Writes a row of numbered columns; what equals the default is left out.
pub(crate) struct Columns(Vec<u8>);

impl Columns {
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(192);
        bytes.push(VERSION);
        Self(bytes)
    }
    /// Raw bytes.
    pub fn bytes(&mut self, column: u8, value: &[u8]) {
        self.0.push(column);
        let mut length = value.len();
        while length >= 0x80 {
            self.0.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(value);
    }
    /// A text, unless empty.
    pub fn text(&mut self, column: u8, value: &str) {
        if !value.is_empty() {
            self.bytes(column, value.as_bytes());
        }
    }
    /// A number, unless zero; leading zero bytes are not stored.
    pub fn number(&mut self, column: u8, value: u64) {
        if value != 0 {
            self.some_number(column, Some(value));
        }
    }
    /// A number that may be absent; zero is stored.
    pub fn some_number(&mut self, column: u8, value: Option<u64>) {
        if let Some(value) = value {
            let skip = (value.leading_zeros() / 8) as usize;
            self.bytes(column, &value.to_be_bytes()[skip..]);
        }
    }
    /// A list of ids, unless empty.
    pub fn ids(&mut self, column: u8, ids: impl ExactSizeIterator<Item = u64>) {
        if ids.len() > 0 {
            let bytes: Vec<u8> = ids.flat_map(u64::to_be_bytes).collect();
            self.bytes(column, &bytes);
        }
    }
    /// A structure of its own, in CBOR.
    pub fn nested<T: Serialize>(&mut self, column: u8, value: Option<&T>) -> Result<(), StoreError> {
        let Some(value) = value else { return Ok(()) };
        let mut bytes = Vec::with_capacity(64);
        ciborium::into_writer(value, &mut bytes).map_err(|error| StoreError::Invalid(error.to_string()))?;
        self.bytes(column, &bytes);
        Ok(())
    }
    /// The row.
    pub fn finish(self) -> Result<Slice, StoreError> {
        finish(self.0)
    }
}

/// Reads the columns of a row; `Err` carries what is wrong with it.
pub(crate) struct ColumnReader<'a> {
    rest: &'a [u8],
}

/// Why a column could not be read.
pub(crate) type ColumnError = &'static str;

impl<'a> ColumnReader<'a> {
    pub fn new(table: Table, key: &[u8], bytes: &'a [u8]) -> Result<Self, StoreError> {
        Ok(Self { rest: body(table, key, bytes)? })
    }
    /// The next column.
    pub fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, ColumnError> {
        let Some((&column, mut rest)) = self.rest.split_first() else { return Ok(None) };
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let (&byte, after) = rest.split_first().ok_or("a column's length is cut off")?;
            rest = after;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 28 {
                return Err("a column's length is out of range");
            }
        }
        let (value, rest) = rest.split_at_checked(length).ok_or("a column is cut off")?;
        self.rest = rest;
        Ok(Some((column, value)))
    }
}

/// A number column.
pub(crate) fn number(value: &[u8]) -> Result<u64, ColumnError> {
    if value.len() > 8 {
        return Err("a number has more than eight bytes");
    }
    Ok(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A text column.
pub(crate) fn text(value: &[u8]) -> Result<String, ColumnError> {
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| "a text is not UTF-8")
}

/// A list of ids.
pub(crate) fn ids<T: From<rookery_model::Snowflake>>(value: &[u8]) -> Result<Vec<T>, ColumnError> {
    let (chunks, rest) = value.as_chunks::<8>();
    if !rest.is_empty() {
        return Err("a list of ids is cut off");
    }
    Ok(chunks.iter().map(|chunk| rookery_model::Snowflake(u64::from_be_bytes(*chunk)).into()).collect())
}

/// A nested structure.
pub(crate) fn nested<T: DeserializeOwned>(value: &[u8]) -> Result<T, ColumnError> {
    ciborium::from_reader(value).map_err(|_| "a nested value cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, String> {
        let mut reader = ColumnReader::new(Table::Messages, b"k", bytes).map_err(|error| error.to_string())?;
        let mut columns = Vec::new();
        while let Some((column, value)) = reader.next()? {
            columns.push((column, value.to_vec()));
        }
        Ok(columns)
    }

    #[test]
    fn columns_come_back() {
        let mut row = Columns::new();
        row.number(1, 0x0102);
        row.number(2, 0);
        row.some_number(3, Some(0));
        row.text(4, &"x".repeat(300));
        row.ids(5, [1_u64, 2].into_iter());
        let bytes = row.finish().unwrap();
        let columns = columns(&bytes).unwrap();
        assert_eq!(columns.iter().map(|(column, _)| *column).collect::<Vec<_>>(), [1, 3, 4, 5]);
        assert_eq!(number(&columns[0].1), Ok(0x0102));
        assert_eq!(number(&columns[1].1), Ok(0));
        assert_eq!(columns[2].1.len(), 300);
        assert_eq!(ids::<rookery_model::UserId>(&columns[3].1).unwrap().len(), 2);
    }

    #[test]
    fn damaged_rows_are_errors_and_never_panics() {
        let mut row = Columns::new();
        row.text(4, &"x".repeat(300));
        row.number(1, u64::MAX);
        let bytes = row.finish().unwrap();
        let whole = columns(&bytes).unwrap();
        for end in 0..bytes.len() {
            // A cut at a column's border is a shorter row, any other an error.
            assert!(columns(&bytes[..end]).map_or(true, |some| whole.starts_with(&some)), "cut at {end}");
        }
        assert!(columns(&[]).is_err());
        assert!(columns(&[9, 1, 0]).unwrap_err().contains("row format 9"));
        assert!(columns(&[1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 1]).is_err());
    }
}
