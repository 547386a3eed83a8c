//! Erlang's external term format, as gateway clients speak it.
//!
//! Written here because no crate fits: `serde_eetf` (2019) builds on an `eetf` five majors old; `erltf_serde` 0.16 and
//! `eetf` 0.12 build a tree first, decode without a limit of depth, reserve what a length field claims and inflate
//! compressed terms of any size, so that a frame of some bytes can exhaust stack or memory.
//!
//! On the wire: snowflakes are integers, timestamps and permissions text, map keys and text are binaries, null and
//! booleans are atoms.

mod de;
mod error;
mod reader;
mod ser;
mod tag;

pub use de::{from_slice, from_term};
pub use error::Error;
pub use reader::{MAX_DEPTH, map_entries};
pub(crate) use ser::unsigned;
pub use ser::{to_vec, write_term};
pub(crate) use tag::{BINARY, MAP, VERSION};
