//! How the model's values stand in columns.

use rookery_model::Snowflake;
use scylla::cluster::metadata::ColumnType;
use scylla::deserialize::value::DeserializeValue;
use scylla::deserialize::{DeserializationError, FrameSlice, TypeCheckError};
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// A value that may be absent, without a tombstone for its absence.
///
/// A put replaces the whole row, so every column is written. A null would be a tombstone in each of them, and reads of a
/// page would wade through hundreds; leaving the column unset would let an older value show through. The empty value,
/// which CQL allows for these types, does neither: it is a live cell of one byte. A column that an earlier version did
/// not know is null and reads as absent too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blank<T>(pub Option<T>);

/// The types that CQL allows to be empty and whose own values never are.
pub trait NeverEmpty {}
impl NeverEmpty for i64 {}
impl NeverEmpty for i32 {}
impl NeverEmpty for bool {}
/// CBOR of something; at least a byte.
impl NeverEmpty for Vec<u8> {}
impl NeverEmpty for &[u8] {}

impl<T: SerializeValue + NeverEmpty> SerializeValue for Blank<T> {
    fn serialize<'b>(
        &self,
        typ: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match &self.0 {
            Some(value) => value.serialize(typ, writer),
            None => writer.set_value(&[]).map_err(SerializationError::new),
        }
    }
}

impl<'frame, 'metadata, T: DeserializeValue<'frame, 'metadata> + NeverEmpty> DeserializeValue<'frame, 'metadata>
    for Blank<T>
{
    fn type_check(typ: &ColumnType<'_>) -> Result<(), TypeCheckError> {
        T::type_check(typ)
    }

    fn deserialize(
        typ: &'metadata ColumnType<'metadata>,
        value: Option<FrameSlice<'frame>>,
    ) -> Result<Self, DeserializationError> {
        match value {
            Some(slice) if !slice.is_empty() => T::deserialize(typ, Some(slice)).map(|value| Self(Some(value))),
            _ => Ok(Self(None)),
        }
    }
}

/// An id as a `bigint`.
pub fn big(id: impl Into<Snowflake>) -> i64 {
    id.into().0.cast_signed()
}

/// An id out of a `bigint`.
pub fn id<T: From<Snowflake>>(raw: i64) -> T {
    T::from(Snowflake(raw.cast_unsigned()))
}

/// An id as the bound of a range; what no stored id reaches stands for the end.
pub fn bound(id: impl Into<Snowflake>) -> i64 {
    i64::try_from(id.into().0).unwrap_or(i64::MAX)
}

/// An id that may be absent.
pub fn blank_id(id: Option<impl Into<Snowflake>>) -> Blank<i64> {
    Blank(id.map(big))
}

/// An id that may be absent, out of its column.
pub fn id_or_none<T: From<Snowflake>>(raw: Blank<i64>) -> Option<T> {
    raw.0.map(id)
}

/// Ids as a list.
pub fn bigs<T: Copy + Into<Snowflake>>(ids: &[T]) -> Vec<i64> {
    ids.iter().map(|id| big(*id)).collect()
}

/// Ids out of a list.
pub fn ids<T: From<Snowflake>>(raw: Vec<i64>) -> Vec<T> {
    raw.into_iter().map(id).collect()
}

/// A number of 32 bits as an `int`, bit by bit.
pub fn blank_int(value: Option<u32>) -> Blank<i32> {
    Blank(value.map(u32::cast_signed))
}

/// The same out of its column.
pub fn int_or_none(raw: Blank<i32>) -> Option<u32> {
    raw.0.map(i32::cast_unsigned)
}

/// A structure as CBOR.
pub fn nested<T: Serialize>(value: Option<&T>) -> Result<Blank<Vec<u8>>, StoreError> {
    let encode = |value: &T| {
        let mut bytes = Vec::with_capacity(64);
        ciborium::into_writer(value, &mut bytes).map(|()| bytes)
    };
    value.map(encode).transpose().map(Blank).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// A structure out of its column; `Err` says what is wrong with it.
pub fn unnested<T: DeserializeOwned>(column: &'static str, raw: &Blank<impl AsRef<[u8]>>) -> Result<Option<T>, String> {
    let decode = |bytes| ciborium::from_reader(AsRef::<[u8]>::as_ref(bytes));
    raw.0.as_ref().map(decode).transpose().map_err(|error| format!("{column} cannot be read: {error}"))
}
