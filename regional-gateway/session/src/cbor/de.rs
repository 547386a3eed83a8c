//! CBOR to Rust values, by way of a JSON value.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// Levels of lists and maps inside one another that are read.
pub const MAX_DEPTH: usize = 64;

/// Why a value could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not an item of CBOR that has a meaning in JSON, or nested too deeply")]
    Item,
    #[error("bytes follow the item")]
    TrailingBytes,
    #[error("{0}")]
    Message(String),
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

/// Reads a value; floats that are whole numbers count as such, because JavaScript encoders write those above 32 bits so.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_value(value(bytes)?).map_err(|error| Error::Message(error.to_string()))
}

/// Reads any value. Keys must be text; byte strings and tags have no meaning here.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, Error> {
    let mut rest = bytes;
    let mut value: Value =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).map_err(|_| Error::Item)?;
    if !rest.is_empty() {
        return Err(Error::TrailingBytes);
    }
    make_whole(&mut value);
    Ok(value)
}

/// Turns floats that are exactly integers into integers.
fn make_whole(value: &mut Value) {
    const EXACT: f64 = (1u64 << 53) as f64;
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT) {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(make_whole),
        Value::Object(map) => map.values_mut().for_each(make_whole),
        _ => {}
    }
}
