//! Objects and their fields: absent, null or a value.

use rookery_model::{Patch, Timestamp};
use serde_json::{Map, Value};

use super::{At, Errors, Item};

/// A JSON object.
pub struct Object<'a> {
    map: &'a Map<String, Value>,
    at: At<'a>,
    errors: &'a Errors,
}

impl<'a> Object<'a> {
    pub(super) const fn new(map: &'a Map<String, Value>, at: At<'a>, errors: &'a Errors) -> Self {
        Self { map, at, errors }
    }

    /// A field by name.
    pub fn field(&self, key: &'static str) -> Field<'_> {
        Field { value: self.map.get(key), at: At::key(&self.at, key), errors: self.errors }
    }

    /// Refuses features that are not there yet: acknowledging a value and dropping it would be worse.
    pub fn refuse(&self, fields: &[(&'static str, &'static str)]) {
        for (key, feature) in fields {
            self.field(key).refuse(feature);
        }
    }

    /// Adds a mistake of the object as a whole.
    pub fn error(&self, code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.errors.add(&self.at, code, message);
    }
}

/// A field that may be absent or null.
pub struct Field<'a> {
    value: Option<&'a Value>,
    at: At<'a>,
    errors: &'a Errors,
}

impl<'a> Field<'a> {
    fn present(&self) -> Option<Item<'a>> {
        let value = self.value.filter(|value| !value.is_null())?;
        Some(Item::new(value, self.at, self.errors))
    }

    /// A value that must be there; the default stands in for a wrong one.
    pub fn required<T: Default>(self, read: impl FnOnce(Item<'a>) -> Option<T>) -> T {
        self.required_or(T::default(), read)
    }

    /// A value that must be there; `stand_in` stands in for a wrong one.
    pub fn required_or<T>(self, stand_in: T, read: impl FnOnce(Item<'a>) -> Option<T>) -> T {
        match self.present() {
            Some(item) => read(item).unwrap_or(stand_in),
            None => {
                self.missing();
                stand_in
            }
        }
    }

    /// A value that may be absent or null.
    pub fn optional<T>(self, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        self.present().and_then(read)
    }

    /// A value that must be there, and may be null.
    pub fn nullable<T>(self, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        if self.value.is_none() {
            self.missing();
        }
        self.optional(read)
    }

    /// A value that may be absent (left as it is) or null (cleared).
    pub fn patch<T>(self, read: impl FnOnce(Item<'a>) -> Option<T>) -> Patch<T> {
        match (self.value, self.present()) {
            (None, _) => Patch::Keep,
            (Some(_), None) => Patch::Clear,
            (Some(_), Some(item)) => read(item).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// A text that may be absent or cleared; an empty one clears, white space around it goes.
    pub fn patch_text(self, max_chars: usize) -> Patch<String> {
        let is_blank = self.value.and_then(Value::as_str).is_some_and(|text| text.trim().is_empty());
        if is_blank { Patch::Clear } else { self.patch(|item| item.visible_string(max_chars)) }
    }

    /// A moment that may be absent or cleared; some libraries clear it with an empty text.
    pub fn patch_timestamp(self) -> Patch<Timestamp> {
        let is_blank = self.value.and_then(Value::as_str).is_some_and(str::is_empty);
        if is_blank { Patch::Clear } else { self.patch(|item| item.timestamp()) }
    }

    /// A list that may be absent or null, and then is empty.
    pub fn list<T>(self, max: usize, read: impl FnMut(Item<'_>) -> Option<T>) -> Vec<T> {
        self.optional(|item| item.list(0..=max, read)).unwrap_or_default()
    }

    /// Says that the field is required.
    pub fn missing(&self) {
        self.errors.add(&self.at, "BASE_TYPE_REQUIRED", "This field is required");
    }

    /// Adds a mistake.
    pub fn error(&self, code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.errors.add(&self.at, code, message);
    }

    /// Refuses a value that asks for a feature which is not there yet; null, false, zero and empty ask for nothing.
    pub fn refuse(self, feature: &str) {
        let asks = match self.value {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
        };
        if asks {
            self.error("FIELD_NOT_SUPPORTED", format!("This deployment does not support {feature} yet."));
        }
    }
}
