//! Terms read one at a time out of a slice, without allocation.

use std::borrow::Cow;

use super::Error;
use super::tag;

/// Levels of lists, tuples and maps inside one another that are read.
pub const MAX_DEPTH: u8 = 64;

/// A term, or the head of one whose elements follow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Null,
    Atom(Cow<'a, str>),
    Binary(&'a [u8]),
    /// A list of bytes that may have been meant as text.
    ByteList(&'a [u8]),
    /// A list of so many elements; `tail` if an empty list ends it.
    List {
        len: u32,
        tail: bool,
    },
    /// A map of so many pairs.
    Map {
        len: u32,
    },
}

/// A place in a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }
    /// A reader behind the version byte.
    pub(crate) fn of_versioned(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes {
            [] => Err(Error::Truncated),
            [tag::VERSION, rest @ ..] => Ok(Self { rest }),
            _ => Err(Error::Version),
        }
    }
    /// Fails if bytes are left.
    pub(crate) const fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::TrailingBytes) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
    fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[b]| b)
    }
    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }
    fn bytes_u32(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u32()?;
        self.take(usize::try_from(len).map_err(|_| Error::TooLong)?)
    }

    /// The next term's tag, left where it is.
    pub(crate) fn peek_tag(&self) -> Result<u8, Error> {
        self.rest.first().copied().ok_or(Error::Truncated)
    }

    /// Reads a term, or the head of a list, tuple or map.
    pub(crate) fn term(&mut self) -> Result<Term<'a>, Error> {
        Ok(match self.u8()? {
            tag::SMALL_INTEGER => Term::Unsigned(u64::from(self.u8()?)),
            tag::INTEGER => {
                let value = i64::from(i32::from_be_bytes(self.array()?));
                u64::try_from(value).map_or(Term::Signed(value), Term::Unsigned)
            }
            tag::SMALL_BIG => {
                let len = usize::from(self.u8()?);
                self.big(len)?
            }
            tag::LARGE_BIG => {
                let len = usize::try_from(self.u32()?).map_err(|_| Error::TooLong)?;
                self.big(len)?
            }
            tag::NEW_FLOAT => Term::Float(f64::from_be_bytes(self.array()?)),
            tag::FLOAT => {
                let text = std::str::from_utf8(self.take(31)?).map_err(|_| Error::Float)?;
                Term::Float(text.trim_end_matches('\0').trim().parse().map_err(|_| Error::Float)?)
            }
            tag::ATOM => {
                let len = self.u16()?;
                latin1_atom(self.take(usize::from(len))?)
            }
            tag::SMALL_ATOM => {
                let len = self.u8()?;
                latin1_atom(self.take(usize::from(len))?)
            }
            tag::ATOM_UTF8 => {
                let len = self.u16()?;
                utf8_atom(self.take(usize::from(len))?)?
            }
            tag::SMALL_ATOM_UTF8 => {
                let len = self.u8()?;
                utf8_atom(self.take(usize::from(len))?)?
            }
            tag::BINARY => Term::Binary(self.bytes_u32()?),
            tag::STRING => {
                let len = self.u16()?;
                Term::ByteList(self.take(usize::from(len))?)
            }
            tag::NIL => Term::List { len: 0, tail: false },
            tag::LIST => {
                let len = self.u32()?;
                Term::List { len: self.bounded(len, 1)?, tail: true }
            }
            tag::SMALL_TUPLE => {
                let len = self.u8()?;
                Term::List { len: self.bounded(u32::from(len), 1)?, tail: false }
            }
            tag::LARGE_TUPLE => {
                let len = self.u32()?;
                Term::List { len: self.bounded(len, 1)?, tail: false }
            }
            tag::MAP => {
                let len = self.u32()?;
                Term::Map { len: self.bounded(len, 2)? }
            }
            80 => return Err(Error::Compressed),
            other => return Err(Error::Tag(other)),
        })
    }

    /// A count of elements, refused if the bytes left cannot hold as many: nothing is ever reserved on a claim alone.
    fn bounded(&self, len: u32, bytes_each: usize) -> Result<u32, Error> {
        let least = usize::try_from(len).map_err(|_| Error::TooLong)?.saturating_mul(bytes_each);
        if least <= self.rest.len() { Ok(len) } else { Err(Error::Truncated) }
    }

    fn big(&mut self, len: usize) -> Result<Term<'a>, Error> {
        let negative = self.u8()? != 0;
        let digits = self.take(len)?;
        let (low, high) = digits.split_at(digits.len().min(8));
        if high.iter().any(|b| *b != 0) {
            return Err(Error::IntegerTooLarge);
        }
        let value = low.iter().rev().fold(0u64, |sum, b| (sum << 8) | u64::from(*b));
        if !negative || value == 0 {
            return Ok(Term::Unsigned(value));
        }
        0i64.checked_sub_unsigned(value).map(Term::Signed).ok_or(Error::IntegerTooLarge)
    }

    /// The end of a list that has a tail: only the empty list.
    pub(crate) fn list_tail(&mut self) -> Result<(), Error> {
        if self.u8()? == tag::NIL { Ok(()) } else { Err(Error::ImproperList) }
    }

    /// Passes over a term with all that is in it and gives its bytes.
    pub(crate) fn skip(&mut self, depth: u8) -> Result<&'a [u8], Error> {
        let start = self.rest;
        let inner = || depth.checked_sub(1).ok_or(Error::Depth);
        match self.term()? {
            Term::List { len, tail } => {
                let depth = inner()?;
                for _ in 0..len {
                    self.skip(depth)?;
                }
                if tail {
                    self.list_tail()?;
                }
            }
            Term::Map { len } => {
                let depth = inner()?;
                for _ in 0..len {
                    self.skip(depth)?;
                    self.skip(depth)?;
                }
            }
            _ => {}
        }
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// A map's key.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Error> {
        match self.term()? {
            Term::Atom(text) => Ok(text),
            Term::Binary(bytes) | Term::ByteList(bytes) => text(bytes).map(Cow::Borrowed),
            Term::Unsigned(n) => Ok(Cow::Owned(n.to_string())),
            Term::Bool(b) => Ok(Cow::Borrowed(if b { "true" } else { "false" })),
            Term::Null => Ok(Cow::Borrowed("nil")),
            _ => Err(Error::Message("a key that is not text".into())),
        }
    }
}

/// Walks over a versioned term that is a map, giving each key and the bytes of its value.
pub fn map_entries<'a>(bytes: &'a [u8], mut visit: impl FnMut(&str, &'a [u8])) -> Result<(), Error> {
    let mut reader = Reader::of_versioned(bytes)?;
    let Term::Map { len } = reader.term()? else { return Err(Error::NotAMap) };
    for _ in 0..len {
        let key = reader.key()?;
        visit(&key, reader.skip(MAX_DEPTH)?);
    }
    reader.end()
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)
}

fn atom(text: Cow<'_, str>) -> Term<'_> {
    match &*text {
        "true" => Term::Bool(true),
        "false" => Term::Bool(false),
        "nil" | "null" | "undefined" => Term::Null,
        _ => Term::Atom(text),
    }
}

fn utf8_atom(bytes: &[u8]) -> Result<Term<'_>, Error> {
    text(bytes).map(|t| atom(Cow::Borrowed(t)))
}

fn latin1_atom(bytes: &[u8]) -> Term<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => atom(Cow::Borrowed(text)),
        _ => atom(Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect())),
    }
}
