//! Terms to Rust values.

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;

use super::reader::{MAX_DEPTH, Reader, Term, text};
use super::{Error, tag};

/// Reads a value from a term with its version byte.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    read(Reader::of_versioned(bytes)?)
}

/// Reads a value from a term without version byte, as it stands inside another.
pub fn from_term<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    read(Reader::new(bytes))
}

fn read<'de, T: Deserialize<'de>>(reader: Reader<'de>) -> Result<T, Error> {
    let mut deserializer = Deserializer { reader, depth: MAX_DEPTH };
    let value = T::deserialize(&mut deserializer)?;
    deserializer.reader.end()?;
    Ok(value)
}

struct Deserializer<'de> {
    reader: Reader<'de>,
    /// Levels that may still be entered.
    depth: u8,
}

impl<'de> Deserializer<'de> {
    /// Reads the elements of a list, tuple or map one level down.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(Error::Depth)?;
        let value = read(self);
        self.depth += 1;
        value
    }

    fn list<V: Visitor<'de>>(&mut self, len: u32, tail: bool, visitor: V) -> Result<V::Value, Error> {
        self.nested(|de| {
            let mut left = len;
            let value = visitor.visit_seq(Elements { de, left: &mut left })?;
            if left > 0 {
                return Err(de::Error::custom("a list has more elements than are wanted"));
            }
            if tail {
                de.reader.list_tail()?;
            }
            Ok(value)
        })
    }

    fn map<V: Visitor<'de>>(&mut self, len: u32, visitor: V) -> Result<V::Value, Error> {
        self.nested(|de| {
            let mut left = len;
            let value = visitor.visit_map(Entries { de, left: &mut left })?;
            if left == 0 { Ok(value) } else { Err(de::Error::custom("a map was not read to its end")) }
        })
    }

    fn visit<V: Visitor<'de>>(&mut self, term: Term<'de>, visitor: V) -> Result<V::Value, Error> {
        match term {
            Term::Unsigned(n) => visitor.visit_u64(n),
            Term::Signed(n) => visitor.visit_i64(n),
            Term::Float(f) => visitor.visit_f64(f),
            Term::Bool(b) => visitor.visit_bool(b),
            Term::Null => visitor.visit_unit(),
            Term::Atom(Cow::Borrowed(name)) => visitor.visit_borrowed_str(name),
            Term::Atom(Cow::Owned(name)) => visitor.visit_string(name),
            Term::Binary(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            Term::ByteList(bytes) => visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied())),
            Term::List { len, tail } => self.list(len, tail, visitor),
            Term::Map { len } => self.map(len, visitor),
        }
    }

    /// Reads where text is wanted: a list of bytes is then text too, as Erlang's strings are.
    fn visit_text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.reader.term()? {
            Term::ByteList(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            Term::List { len: 0, tail: false } => visitor.visit_borrowed_str(""),
            term => self.visit(term, visitor),
        }
    }

    /// Reads where an integer is wanted: JavaScript encoders write those above 32 bits as floats.
    fn visit_integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        const EXACT: f64 = (1u64 << 53) as f64;
        match self.reader.term()? {
            Term::Float(f) if f.fract() == 0.0 && (0.0..=EXACT).contains(&f) => visitor.visit_u64(f as u64),
            Term::Float(f) if f.fract() == 0.0 && (-EXACT..0.0).contains(&f) => visitor.visit_i64(f as i64),
            term => self.visit(term, visitor),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_integer(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let term = self.reader.term()?;
        self.visit(term, visitor)
    }
    integers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
    deserialize_u32 deserialize_u64 }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_text(visitor)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_text(visitor)
    }
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_text(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.reader.key()? {
            Cow::Borrowed(key) => visitor.visit_borrowed_str(key),
            Cow::Owned(key) => visitor.visit_string(key),
        }
    }
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.reader.term()? {
            Term::Binary(bytes) | Term::ByteList(bytes) => visitor.visit_borrowed_bytes(bytes),
            term => self.visit(term, visitor),
        }
    }
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let before = self.reader;
        if self.reader.term()? == Term::Null {
            return visitor.visit_none();
        }
        self.reader = before;
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.reader.peek_tag()? != tag::MAP {
            let variant: Cow<'_, str> = self.reader.key()?;
            return visitor.visit_enum(variant.into_deserializer());
        }
        let Term::Map { len: 1 } = self.reader.term()? else {
            return Err(de::Error::custom("an enum is a name, or a map of one name"));
        };
        self.nested(|de| visitor.visit_enum(Variant { de }))
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.reader.skip(self.depth)?;
        visitor.visit_unit()
    }
    forward_to_deserialize_any! { bool i128 u128 f32 f64 unit unit_struct seq tuple tuple_struct map struct }
}

struct Elements<'a, 'de> {
    de: &'a mut Deserializer<'de>,
    left: &'a mut u32,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if *self.left == 0 {
            return Ok(None);
        }
        *self.left -= 1;
        seed.deserialize(&mut *self.de).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        usize::try_from(*self.left).ok()
    }
}

struct Entries<'a, 'de> {
    de: &'a mut Deserializer<'de>,
    left: &'a mut u32,
}

impl<'de> de::MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if *self.left == 0 {
            return Ok(None);
        }
        *self.left -= 1;
        seed.deserialize(Key { reader: &mut self.de.reader }).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.de)
    }
    fn size_hint(&self) -> Option<usize> {
        usize::try_from(*self.left).ok()
    }
}

/// A key is text, whatever term it was.
struct Key<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> de::Deserializer<'de> for Key<'_, 'de> {
    type Error = Error;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.reader.key()? {
            Cow::Borrowed(key) => visitor.visit_borrowed_str(key),
            Cow::Owned(key) => visitor.visit_string(key),
        }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Variant<'a, 'de> {
    de: &'a mut Deserializer<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = seed.deserialize(Key { reader: &mut self.de.reader })?;
        Ok((name, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(&mut *self.de)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&mut *self.de)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(&mut *self.de, visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(&mut *self.de, visitor)
    }
}
