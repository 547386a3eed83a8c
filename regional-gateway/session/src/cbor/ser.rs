//! Rust values to CBOR.

use serde::ser::Serialize;

use super::Error;
use crate::binary::{self, Format};

/// Major types, in the upper three bits of a head.
pub(crate) const UNSIGNED: u8 = 0 << 5;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
pub(crate) const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT: u8 = 0xfb;

/// Writes a value.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    write_value(&mut out, value)?;
    Ok(out)
}

/// Appends a value.
pub fn write_value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    binary::write::<Cbor, T>(out, value)
}

/// The head of an item in its shortest form, and its length.
pub(crate) fn head(major: u8, n: u64) -> ([u8; 9], usize) {
    let mut head = [0; 9];
    let digits = n.to_be_bytes();
    let (info, len) = match n {
        0..24 => (n as u8, 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    head[0] = major | info;
    head[1..=len].copy_from_slice(&digits[8 - len..]);
    (head, 1 + len)
}

fn put_head(out: &mut Vec<u8>, major: u8, n: u64) {
    let (head, len) = head(major, n);
    out.extend(&head[..len]);
}

/// Writes a head where one byte was left for it, and moves what follows if it takes more.
fn patch_head(out: &mut Vec<u8>, start: usize, major: u8, n: usize) {
    let (head, len) = head(major, n as u64);
    out[start] = head[0];
    if len > 1 {
        out.splice(start + 1..start + 1, head[1..len].iter().copied());
    }
}

struct Cbor;

impl Format for Cbor {
    type Error = Error;

    fn unsigned(out: &mut Vec<u8>, v: u64) {
        put_head(out, UNSIGNED, v);
    }
    fn negative(out: &mut Vec<u8>, v: i64) {
        // −1 − n, of which the bits are n's turned over.
        put_head(out, NEGATIVE, !v as u64);
    }
    fn float(out: &mut Vec<u8>, v: f64) {
        out.push(FLOAT);
        out.extend(v.to_be_bytes());
    }
    fn bool(out: &mut Vec<u8>, v: bool) {
        out.push(if v { TRUE } else { FALSE });
    }
    fn null(out: &mut Vec<u8>) {
        out.push(NULL);
    }
    fn text(out: &mut Vec<u8>, v: &str) -> Result<(), Error> {
        put_head(out, TEXT, v.len() as u64);
        out.extend(v.as_bytes());
        Ok(())
    }
    fn bytes(out: &mut Vec<u8>, v: &[u8]) -> Result<(), Error> {
        put_head(out, BYTES, v.len() as u64);
        out.extend(v);
        Ok(())
    }
    fn open_list(out: &mut Vec<u8>) {
        out.push(ARRAY);
    }
    fn close_list(out: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Error> {
        patch_head(out, start, ARRAY, len);
        Ok(())
    }
    fn open_map(out: &mut Vec<u8>) {
        out.push(MAP);
    }
    fn close_map(out: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Error> {
        patch_head(out, start, MAP, len);
        Ok(())
    }
}
