//! Rust values to terms.

use rookery_model::{Permissions, Timestamp};
use serde::ser::{self, Serialize};

use super::{Error, tag};

/// Writes a value as a term with its version byte.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = vec![tag::VERSION];
    write_term(&mut out, value)?;
    Ok(out)
}

/// Appends a value as a term without version byte, to stand inside another.
pub fn write_term<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    value.serialize(&mut Serializer { out, as_text: None })
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

struct Serializer<'a> {
    out: &'a mut Vec<u8>,
    /// Set while the integer inside a newtype that clients expect as text is written.
    as_text: Option<AsText>,
}

#[derive(Clone, Copy)]
enum AsText {
    /// Microseconds as ISO 8601.
    Timestamp,
    /// A number in decimal.
    Decimal,
}

impl Serializer<'_> {
    fn atom(&mut self, name: &'static str) {
        // Latin-1 atoms, the only kind that erlpack decodes.
        self.out.extend([tag::SMALL_ATOM, name.len() as u8]);
        self.out.extend(name.as_bytes());
    }
    fn binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(bytes.len()).map_err(|_| Error::TooLong)?;
        self.out.push(tag::BINARY);
        self.out.extend(len.to_be_bytes());
        self.out.extend(bytes);
        Ok(())
    }
    fn big(&mut self, magnitude: u64, negative: bool) {
        let (term, len) = big(magnitude, negative);
        self.out.extend(&term[..len]);
    }
    fn unsigned(&mut self, v: u64) {
        let Ok(()) = unsigned(v, |term| {
            self.out.extend(term);
            Ok::<(), std::convert::Infallible>(())
        });
    }
    fn signed(&mut self, v: i64) {
        if let Ok(v) = u64::try_from(v) {
            self.unsigned(v);
        } else if let Ok(int) = i32::try_from(v) {
            self.out.push(tag::INTEGER);
            self.out.extend(int.to_be_bytes());
        } else {
            self.big(v.unsigned_abs(), true);
        }
    }
}

macro_rules! numbers {
    ($($method:ident($t:ty) => $write:ident as $wide:ty;)*) => {$(
        fn $method(self, v: $t) -> Result<(), Error> {
            self.$write(<$wide>::from(v));
            Ok(())
        }
    )*};
}

impl<'a, 'b> ser::Serializer for &'a mut Serializer<'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a, 'b>;
    type SerializeTuple = List<'a, 'b>;
    type SerializeTupleStruct = List<'a, 'b>;
    type SerializeTupleVariant = List<'a, 'b>;
    type SerializeMap = Map<'a, 'b>;
    type SerializeStruct = Map<'a, 'b>;
    type SerializeStructVariant = Map<'a, 'b>;

    fn is_human_readable(&self) -> bool {
        false
    }
    numbers! {
        serialize_i8(i8) => signed as i64;
        serialize_i16(i16) => signed as i64;
        serialize_i32(i32) => signed as i64;
        serialize_u8(u8) => unsigned as u64;
        serialize_u16(u16) => unsigned as u64;
        serialize_u32(u32) => unsigned as u64;
    }
    fn serialize_i64(self, v: i64) -> Result<(), Error> {
        match self.as_text.take() {
            None => self.signed(v),
            Some(AsText::Timestamp) => return self.binary(Timestamp(v).to_string().as_bytes()),
            Some(AsText::Decimal) => return self.binary(v.to_string().as_bytes()),
        }
        Ok(())
    }
    fn serialize_u64(self, v: u64) -> Result<(), Error> {
        if self.as_text.take().is_some() {
            return self.binary(v.to_string().as_bytes());
        }
        self.unsigned(v);
        Ok(())
    }
    fn serialize_bool(self, v: bool) -> Result<(), Error> {
        self.atom(if v { "true" } else { "false" });
        Ok(())
    }
    fn serialize_f32(self, v: f32) -> Result<(), Error> {
        self.serialize_f64(f64::from(v))
    }
    fn serialize_f64(self, v: f64) -> Result<(), Error> {
        // Erlang has no infinities; JSON writes them as null too.
        if !v.is_finite() {
            return self.serialize_unit();
        }
        self.out.push(tag::NEW_FLOAT);
        self.out.extend(v.to_be_bytes());
        Ok(())
    }
    fn serialize_char(self, v: char) -> Result<(), Error> {
        self.binary(v.encode_utf8(&mut [0; 4]).as_bytes())
    }
    fn serialize_str(self, v: &str) -> Result<(), Error> {
        self.binary(v.as_bytes())
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Error> {
        self.binary(v)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.atom("nil");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Error> {
        // Only snowflakes are integers here that are text in JSON; these two stay text, which clients parse.
        self.as_text = match name {
            Timestamp::NEWTYPE_NAME => Some(AsText::Timestamp),
            Permissions::NEWTYPE_NAME => Some(AsText::Decimal),
            _ => None,
        };
        let written = value.serialize(&mut *self);
        self.as_text = None;
        written
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.open_variant(variant)?;
        value.serialize(self)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a, 'b>, Error> {
        Ok(List::open(self))
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'a, 'b>, Error> {
        Ok(List::open(self))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a, 'b>, Error> {
        Ok(List::open(self))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a, 'b>, Error> {
        self.open_variant(variant)?;
        Ok(List::open(self))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a, 'b>, Error> {
        Ok(Map::open(self))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map<'a, 'b>, Error> {
        Ok(Map::open(self))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'a, 'b>, Error> {
        self.open_variant(variant)?;
        Ok(Map::open(self))
    }
}

impl Serializer<'_> {
    /// The head of `{variant: …}`, as JSON has it.
    fn open_variant(&mut self, variant: &'static str) -> Result<(), Error> {
        self.out.push(tag::MAP);
        self.out.extend(1u32.to_be_bytes());
        self.binary(variant.as_bytes())
    }
}

/// A list whose length is known when it ends.
struct List<'a, 'b> {
    serializer: &'a mut Serializer<'b>,
    start: usize,
    len: u32,
}

impl<'a, 'b> List<'a, 'b> {
    fn open(serializer: &'a mut Serializer<'b>) -> Self {
        let start = serializer.out.len();
        serializer.out.extend([tag::LIST, 0, 0, 0, 0]);
        Self { serializer, start, len: 0 }
    }
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.len = self.len.checked_add(1).ok_or(Error::TooLong)?;
        value.serialize(&mut *self.serializer)
    }
    fn close(self) {
        let out = &mut *self.serializer.out;
        if self.len == 0 {
            out.truncate(self.start);
        } else {
            out[self.start + 1..self.start + 5].copy_from_slice(&self.len.to_be_bytes());
        }
        out.push(tag::NIL);
    }
}

macro_rules! lists {
    ($($tr:ident $method:ident)*) => {$(
        impl ser::$tr for List<'_, '_> {
            type Ok = ();
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}
lists! { SerializeSeq serialize_element SerializeTuple serialize_element SerializeTupleStruct serialize_field
SerializeTupleVariant serialize_field }

/// A map whose length is known when it ends.
struct Map<'a, 'b> {
    serializer: &'a mut Serializer<'b>,
    start: usize,
    len: u32,
}

impl<'a, 'b> Map<'a, 'b> {
    fn open(serializer: &'a mut Serializer<'b>) -> Self {
        let start = serializer.out.len();
        serializer.out.extend([tag::MAP, 0, 0, 0, 0]);
        Self { serializer, start, len: 0 }
    }
    fn close(self) {
        self.serializer.out[self.start + 1..self.start + 5].copy_from_slice(&self.len.to_be_bytes());
    }
}

impl ser::SerializeMap for Map<'_, '_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.len = self.len.checked_add(1).ok_or(Error::TooLong)?;
        key.serialize(&mut *self.serializer)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.serializer)
    }
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

macro_rules! structs {
    ($($tr:ident)*) => {$(
        impl ser::$tr for Map<'_, '_> {
            type Ok = ();
            type Error = Error;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
                ser::SerializeMap::serialize_entry(self, key, value)
            }
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}
structs! { SerializeStruct SerializeStructVariant }
