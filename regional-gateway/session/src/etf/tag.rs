//! Tags of the external term format, version 131.
//!
//! Source: "External Term Format" of Erlang's ERTS reference manual.

pub const VERSION: u8 = 131;

pub const NEW_FLOAT: u8 = 70;
pub const SMALL_INTEGER: u8 = 97;
pub const INTEGER: u8 = 98;
/// A float as 31 bytes of text; old, still written by some encoders.
pub const FLOAT: u8 = 99;
/// Latin-1, two bytes of length; the one form of atom that every client's decoder knows besides [`SMALL_ATOM`].
pub const ATOM: u8 = 100;
pub const SMALL_TUPLE: u8 = 104;
pub const LARGE_TUPLE: u8 = 105;
/// The empty list.
pub const NIL: u8 = 106;
/// A list of bytes; Erlang writes `[0, 1]` this way too.
pub const STRING: u8 = 107;
pub const LIST: u8 = 108;
pub const BINARY: u8 = 109;
pub const SMALL_BIG: u8 = 110;
pub const LARGE_BIG: u8 = 111;
pub const SMALL_ATOM: u8 = 115;
pub const MAP: u8 = 116;
pub const ATOM_UTF8: u8 = 118;
pub const SMALL_ATOM_UTF8: u8 = 119;
