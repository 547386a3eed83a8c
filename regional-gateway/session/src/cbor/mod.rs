//! CBOR (RFC 8949), an encoding of this server's own: smaller than JSON, with ids as integers.
//!
//! Written with the serializer that the external term format has too, so that both mean the same, and lists and maps
//! have their lengths in front. Read with `ciborium`, whole, into a value: what clients send is short.

mod de;
mod ser;

pub(crate) use de::value;
pub use de::{Error, MAX_DEPTH, from_slice};
pub(crate) use ser::{TEXT, UNSIGNED, head};
pub use ser::{to_vec, write_value};
