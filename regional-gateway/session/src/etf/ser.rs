//! Rust values to terms.

use serde::ser::Serialize;

use super::{Error, tag};
use crate::binary::{self, Format};

/// Writes a value as a term with its version byte.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = vec![tag::VERSION];
    write_term(&mut out, value)?;
    Ok(out)
}

/// Appends a value as a term without version byte, to stand inside another.
pub fn write_term<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    binary::write::<Etf, T>(out, value)
}

/// Hands a number's term, in its shortest form, to `put`.
pub(crate) fn unsigned<E>(v: u64, put: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), E> {
    if let Ok(small) = u8::try_from(v) {
        put(&[tag::SMALL_INTEGER, small])
    } else if let Ok(int) = i32::try_from(v) {
        let [a, b, c, d] = int.to_be_bytes();
        put(&[tag::INTEGER, a, b, c, d])
    } else {
        let (term, len) = big(v, false);
        put(&term[..len])
    }
}

/// A number beyond 32 bits as a term, and the term's length.
fn big(magnitude: u64, negative: bool) -> ([u8; 11], usize) {
    let digits = magnitude.to_le_bytes();
    let len = digits.len() - magnitude.leading_zeros() as usize / 8;
    let mut term = [0; 11];
    term[..3].copy_from_slice(&[tag::SMALL_BIG, len as u8, u8::from(negative)]);
    term[3..].copy_from_slice(&digits);
    (term, 3 + len)
}

fn atom(out: &mut Vec<u8>, name: &'static str) {
    // Latin-1 atoms, the only kind that erlpack decodes.
    out.extend([tag::SMALL_ATOM, name.len() as u8]);
    out.extend(name.as_bytes());
}

fn long_len(len: usize) -> Result<[u8; 4], Error> {
    u32::try_from(len).map(u32::to_be_bytes).map_err(|_| Error::TooLong)
}

struct Etf;

impl Format for Etf {
    type Error = Error;

    fn unsigned(out: &mut Vec<u8>, v: u64) {
        let Ok(()) = unsigned(v, |term| {
            out.extend(term);
            Ok::<(), std::convert::Infallible>(())
        });
    }
    fn negative(out: &mut Vec<u8>, v: i64) {
        if let Ok(int) = i32::try_from(v) {
            out.push(tag::INTEGER);
            out.extend(int.to_be_bytes());
        } else {
            let (term, len) = big(v.unsigned_abs(), true);
            out.extend(&term[..len]);
        }
    }
    fn float(out: &mut Vec<u8>, v: f64) {
        out.push(tag::NEW_FLOAT);
        out.extend(v.to_be_bytes());
    }
    fn bool(out: &mut Vec<u8>, v: bool) {
        atom(out, if v { "true" } else { "false" });
    }
    fn null(out: &mut Vec<u8>) {
        atom(out, "nil");
    }
    fn text(out: &mut Vec<u8>, v: &str) -> Result<(), Error> {
        Self::bytes(out, v.as_bytes())
    }
    fn bytes(out: &mut Vec<u8>, v: &[u8]) -> Result<(), Error> {
        out.push(tag::BINARY);
        out.extend(long_len(v.len())?);
        out.extend(v);
        Ok(())
    }
    fn open_list(out: &mut Vec<u8>) {
        out.extend([tag::LIST, 0, 0, 0, 0]);
    }
    fn close_list(out: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Error> {
        if len == 0 {
            out.truncate(start);
        } else {
            out[start + 1..start + 5].copy_from_slice(&long_len(len)?);
        }
        out.push(tag::NIL);
        Ok(())
    }
    fn open_map(out: &mut Vec<u8>) {
        out.extend([tag::MAP, 0, 0, 0, 0]);
    }
    fn close_map(out: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Error> {
        out[start + 1..start + 5].copy_from_slice(&long_len(len)?);
        Ok(())
    }
}
