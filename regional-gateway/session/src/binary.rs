//! What the binary encodings have in common: a serializer over the few things in which they differ.
//!
//! On the wire of both, snowflakes are integers, timestamps and permissions text, and map keys text.

use rookery_model::{Permissions, Timestamp};
use serde::ser::{self, Serialize};
use std::marker::PhantomData;

/// How an encoding writes values.
pub(crate) trait Format {
    type Error: ser::Error;

    fn unsigned(out: &mut Vec<u8>, v: u64);
    /// A number below 0.
    fn negative(out: &mut Vec<u8>, v: i64);
    /// A number that is neither infinite nor none.
    fn float(out: &mut Vec<u8>, v: f64);
    fn bool(out: &mut Vec<u8>, v: bool);
    fn null(out: &mut Vec<u8>);
    fn text(out: &mut Vec<u8>, v: &str) -> Result<(), Self::Error>;
    fn bytes(out: &mut Vec<u8>, v: &[u8]) -> Result<(), Self::Error>;
    /// Leaves room for the head of a list whose length is known when it ends.
    fn open_list(out: &mut Vec<u8>);
    /// Ends the list that was opened at `start`.
    fn close_list(out: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Self::Error>;
    fn open_map(out: &mut Vec<u8>);
    /// Ends the map of `len` pairs that was opened at `start`.
    fn close_map(out: &mut Vec<u8>, start: usize, len: usize) -> Result<(), Self::Error>;
}

/// Appends a value.
pub(crate) fn write<F: Format, T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), F::Error> {
    value.serialize(&mut Serializer::<F> { out, as_text: None, format: PhantomData })
}

struct Serializer<'a, F> {
    out: &'a mut Vec<u8>,
    /// Set while the integer inside a newtype that clients expect as text is written.
    as_text: Option<AsText>,
    format: PhantomData<F>,
}

#[derive(Clone, Copy)]
enum AsText {
    /// Microseconds as ISO 8601.
    Timestamp,
    /// A number in decimal.
    Decimal,
}

impl<F: Format> Serializer<'_, F> {
    fn unsigned(&mut self, v: u64) {
        F::unsigned(self.out, v);
    }
    fn signed(&mut self, v: i64) {
        match u64::try_from(v) {
            Ok(v) => F::unsigned(self.out, v),
            Err(_) => F::negative(self.out, v),
        }
    }
    fn text(&mut self, v: &str) -> Result<(), F::Error> {
        F::text(self.out, v)
    }
    /// The head of `{variant: …}`, as JSON has it.
    fn variant<T>(
        &mut self,
        variant: &'static str,
        write: impl FnOnce(&mut Self) -> Result<T, F::Error>,
    ) -> Result<(T, usize), F::Error> {
        let start = self.out.len();
        F::open_map(self.out);
        F::text(self.out, variant)?;
        Ok((write(self)?, start))
    }
}

macro_rules! numbers {
    ($($method:ident($t:ty) => $write:ident as $wide:ty;)*) => {$(
        fn $method(self, v: $t) -> Result<(), F::Error> {
            self.$write(<$wide>::from(v));
            Ok(())
        }
    )*};
}

impl<'a, 'b, F: Format> ser::Serializer for &'a mut Serializer<'b, F> {
    type Ok = ();
    type Error = F::Error;
    type SerializeSeq = List<'a, 'b, F>;
    type SerializeTuple = List<'a, 'b, F>;
    type SerializeTupleStruct = List<'a, 'b, F>;
    type SerializeTupleVariant = List<'a, 'b, F>;
    type SerializeMap = Map<'a, 'b, F>;
    type SerializeStruct = Map<'a, 'b, F>;
    type SerializeStructVariant = Map<'a, 'b, F>;

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
    fn serialize_i64(self, v: i64) -> Result<(), F::Error> {
        match self.as_text.take() {
            None => self.signed(v),
            Some(AsText::Timestamp) => return self.text(&Timestamp(v).to_string()),
            Some(AsText::Decimal) => return self.text(&v.to_string()),
        }
        Ok(())
    }
    fn serialize_u64(self, v: u64) -> Result<(), F::Error> {
        if self.as_text.take().is_some() {
            return self.text(&v.to_string());
        }
        self.unsigned(v);
        Ok(())
    }
    fn serialize_bool(self, v: bool) -> Result<(), F::Error> {
        F::bool(self.out, v);
        Ok(())
    }
    fn serialize_f32(self, v: f32) -> Result<(), F::Error> {
        self.serialize_f64(f64::from(v))
    }
    fn serialize_f64(self, v: f64) -> Result<(), F::Error> {
        // As JSON has it; Erlang has no infinities either.
        if v.is_finite() {
            F::float(self.out, v);
        } else {
            F::null(self.out);
        }
        Ok(())
    }
    fn serialize_char(self, v: char) -> Result<(), F::Error> {
        self.text(v.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, v: &str) -> Result<(), F::Error> {
        self.text(v)
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<(), F::Error> {
        F::bytes(self.out, v)
    }
    fn serialize_none(self) -> Result<(), F::Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), F::Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), F::Error> {
        F::null(self.out);
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), F::Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), F::Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), F::Error> {
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
    ) -> Result<(), F::Error> {
        let ((), start) = self.variant(variant, |inner| value.serialize(inner))?;
        F::close_map(self.out, start, 1)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a, 'b, F>, F::Error> {
        Ok(List::open(self))
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'a, 'b, F>, F::Error> {
        Ok(List::open(self))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a, 'b, F>, F::Error> {
        Ok(List::open(self))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a, 'b, F>, F::Error> {
        let ((), around) = self.variant(variant, |_| Ok(()))?;
        Ok(List { around: Some(around), ..List::open(self) })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a, 'b, F>, F::Error> {
        Ok(Map::open(self))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map<'a, 'b, F>, F::Error> {
        Ok(Map::open(self))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'a, 'b, F>, F::Error> {
        let ((), around) = self.variant(variant, |_| Ok(()))?;
        Ok(Map { around: Some(around), ..Map::open(self) })
    }
}

/// A list whose length is known when it ends.
struct List<'a, 'b, F> {
    serializer: &'a mut Serializer<'b, F>,
    start: usize,
    len: usize,
    /// Where a map of one pair began of which this is the value.
    around: Option<usize>,
}

impl<'a, 'b, F: Format> List<'a, 'b, F> {
    fn open(serializer: &'a mut Serializer<'b, F>) -> Self {
        let start = serializer.out.len();
        F::open_list(serializer.out);
        Self { serializer, start, len: 0, around: None }
    }
    fn close(self) -> Result<(), F::Error> {
        F::close_list(self.serializer.out, self.start, self.len)?;
        self.around.map_or(Ok(()), |start| F::close_map(self.serializer.out, start, 1))
    }
}

macro_rules! lists {
    ($($tr:ident $method:ident)*) => {$(
        impl<F: Format> ser::$tr for List<'_, '_, F> {
            type Ok = ();
            type Error = F::Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), F::Error> {
                self.len += 1;
                value.serialize(&mut *self.serializer)
            }
            fn end(self) -> Result<(), F::Error> {
                self.close()
            }
        }
    )*};
}
lists! { SerializeSeq serialize_element SerializeTuple serialize_element SerializeTupleStruct serialize_field
SerializeTupleVariant serialize_field }

/// A map whose length is known when it ends.
struct Map<'a, 'b, F> {
    serializer: &'a mut Serializer<'b, F>,
    start: usize,
    len: usize,
    around: Option<usize>,
}

impl<'a, 'b, F: Format> Map<'a, 'b, F> {
    fn open(serializer: &'a mut Serializer<'b, F>) -> Self {
        let start = serializer.out.len();
        F::open_map(serializer.out);
        Self { serializer, start, len: 0, around: None }
    }
    fn close(self) -> Result<(), F::Error> {
        F::close_map(self.serializer.out, self.start, self.len)?;
        self.around.map_or(Ok(()), |start| F::close_map(self.serializer.out, start, 1))
    }
}

impl<F: Format> ser::SerializeMap for Map<'_, '_, F> {
    type Ok = ();
    type Error = F::Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), F::Error> {
        self.len += 1;
        // Ids are text there.
        self.serializer.as_text = Some(AsText::Decimal);
        let written = key.serialize(&mut *self.serializer);
        self.serializer.as_text = None;
        written
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), F::Error> {
        value.serialize(&mut *self.serializer)
    }
    fn end(self) -> Result<(), F::Error> {
        self.close()
    }
}

macro_rules! structs {
    ($($tr:ident)*) => {$(
        impl<F: Format> ser::$tr for Map<'_, '_, F> {
            type Ok = ();
            type Error = F::Error;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), F::Error> {
                ser::SerializeMap::serialize_entry(self, key, value)
            }
            fn end(self) -> Result<(), F::Error> {
                self.close()
            }
        }
    )*};
}
structs! { SerializeStruct SerializeStructVariant }
