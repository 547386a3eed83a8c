//! Values of every type that bodies have.
//!
//! Codes and messages are those that the API's own server gives, because libraries and people know them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use rookery_model::{Permissions, Snowflake, Timestamp, limits, username};
use serde_json::Value;

use super::{At, Errors, Object, text};

/// A value that is there and not null.
pub struct Item<'a> {
    value: &'a Value,
    at: At<'a>,
    errors: &'a Errors,
}

impl<'a> Item<'a> {
    pub(super) const fn new(value: &'a Value, at: At<'a>, errors: &'a Errors) -> Self {
        Self { value, at, errors }
    }

    /// The body as a whole.
    pub const fn root(value: &'a Value, errors: &'a Errors) -> Self {
        Self { value, at: At::ROOT, errors }
    }

    /// Adds a mistake and reads as nothing.
    pub fn fail<T>(&self, code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Option<T> {
        self.errors.add(&self.at, code, message);
        None
    }

    /// The same place once more, for a mistake that shows only after reading.
    pub const fn spot(&self) -> Self {
        Self { value: self.value, at: self.at, errors: self.errors }
    }

    /// The raw value.
    pub const fn value(&self) -> &'a Value {
        self.value
    }

    /// The value as a message quotes it.
    pub fn quoted(&self) -> String {
        text::quote(self.value)
    }

    /// An object.
    pub fn object(self) -> Option<Object<'a>> {
        match self.value {
            Value::Object(map) => Some(Object::new(map, self.at, self.errors)),
            _ => self.fail("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
        }
    }

    /// A list whose length is in the range; elements that are wrong are left out and told.
    pub fn list<T>(self, length: RangeInclusive<usize>, mut read: impl FnMut(Item<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(values) = self.value else {
            return self.fail("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
        };
        self.check_length(values.len(), &length)?;
        let mut list = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let at = At::index(&self.at, index);
            if value.is_null() {
                self.errors.add(&at, "BASE_TYPE_REQUIRED", "This field is required");
                continue;
            }
            list.extend(read(Item::new(value, at, self.errors)));
        }
        Some(list)
    }

    /// A list in which nothing stands twice.
    pub fn set<T: Copy + Ord>(
        self,
        length: RangeInclusive<usize>,
        mut read: impl FnMut(Item<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut seen = BTreeSet::new();
        self.list(length, |item| {
            let (at, errors) = (item.at, item.errors);
            let value = read(item)?;
            if !seen.insert(value) {
                errors.add(&at, "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value");
                return None;
            }
            Some(value)
        })
    }

    /// A text.
    pub fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            _ => self.fail("STRING_TYPE_CONVERT", format!("Could not interpret \"{}\" as string.", self.quoted())),
        }
    }

    /// A text whose length in characters is in the range.
    pub fn string(self, length: RangeInclusive<usize>) -> Option<String> {
        let text = self.text()?;
        self.check_length(text.chars().count(), &length)?;
        Some(text.to_owned())
    }

    /// A text without the white space around it, of at least one character; an empty one counts as missing.
    pub fn visible_string(self, max_chars: usize) -> Option<String> {
        let text = self.text()?.trim();
        if text.is_empty() {
            return self.fail("BASE_TYPE_REQUIRED", "This field is required");
        }
        self.check_length(text.chars().count(), &(0..=max_chars))?;
        Some(text.to_owned())
    }

    /// Checks a length against its range and tells how it should be.
    fn check_length(&self, length: usize, range: &RangeInclusive<usize>) -> Option<()> {
        if range.contains(&length) {
            return Some(());
        }
        let (min, max) = (*range.start(), *range.end());
        match (min, max) {
            (0, max) => self.fail("BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length.")),
            (min, usize::MAX) => self.fail("BASE_TYPE_MIN_LENGTH", format!("Must be {min} or more in length.")),
            (min, max) => self.fail("BASE_TYPE_BAD_LENGTH", format!("Must be between {min} and {max} in length.")),
        }
    }

    /// True or false.
    pub fn boolean(self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.fail("BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
        }
    }

    /// A whole number in the range.
    pub fn integer<T: TryFrom<i64>>(self, range: RangeInclusive<i64>) -> Option<T> {
        let not_int = || format!("Value \"{}\" is not int.", self.quoted());
        let Value::Number(number) = self.value else {
            return self.fail("NUMBER_TYPE_COERCE", not_int());
        };
        // JSON has one type of number: 5.0 is 5.
        let whole = match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(float)) if float.fract() == 0.0 => float as i64,
            _ => return self.fail("NUMBER_TYPE_COERCE", not_int()),
        };
        if whole < *range.start() {
            let min = range.start();
            return self.fail("NUMBER_TYPE_MIN", format!("int value should be greater than or equal to {min}."));
        }
        if whole > *range.end() {
            let max = range.end();
            return self.fail("NUMBER_TYPE_MAX", format!("int value should be less than or equal to {max}."));
        }
        T::try_from(whole).ok().or_else(|| self.fail("NUMBER_TYPE_COERCE", not_int()))
    }

    /// One of some whole numbers.
    pub fn choice<T: Copy + Into<i64>>(self, choices: &[T]) -> Option<T> {
        let found = choices.iter().copied().find(|choice| self.value.as_i64() == Some((*choice).into()));
        found.or_else(|| self.not_among(choices.iter().map(|choice| (*choice).into())))
    }

    /// One of some texts.
    pub fn word(self, choices: &[&'static str]) -> Option<&'static str> {
        let text = self.text()?;
        let found = choices.iter().copied().find(|choice| *choice == text);
        found.or_else(|| self.not_among(choices.iter().map(|choice| format!("'{choice}'"))))
    }

    fn not_among<T>(&self, choices: impl Iterator<Item = impl Display>) -> Option<T> {
        let list: Vec<String> = choices.map(|choice| choice.to_string()).collect();
        self.fail("BASE_TYPE_CHOICES", format!("Value must be one of {{{}}}.", list.join(", ")))
    }

    /// An id, as text or as a number.
    pub fn id<T: From<Snowflake>>(self) -> Option<T> {
        let digits = match self.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        text::snowflake(&digits, &self.at, self.errors, || self.quoted()).map(T::from)
    }

    /// Permission bits, as decimal text or as a number.
    pub fn permissions(self) -> Option<Permissions> {
        let bits = match self.value {
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Value::Number(number) => number.as_u64(),
            _ => None,
        };
        match bits {
            Some(bits) => Some(Permissions::from_bits_retain(bits)),
            None => self.fail("NUMBER_TYPE_COERCE", format!("Value \"{}\" is not int.", self.quoted())),
        }
    }

    /// A moment in ISO 8601; without an offset it is UTC.
    pub fn timestamp(self) -> Option<Timestamp> {
        let parsed = self.value.as_str().and_then(text::naive_timestamp);
        parsed.or_else(|| {
            self.fail("DATE_TIME_TYPE_PARSE", format!("Could not parse {}. Should be ISO8601.", self.quoted()))
        })
    }

    /// A colour, 0xRRGGBB.
    pub fn color(self) -> Option<u32> {
        self.integer(0..=0xff_ffff)
    }

    /// An address with one of some schemes.
    pub fn url(self, schemes: &[&str]) -> Option<String> {
        let text = self.text()?.trim();
        self.check_length(text.chars().count(), &(0..=limits::URL_MAX_CHARS))?;
        match text::check_url(text, schemes) {
            Ok(()) => Some(text.to_owned()),
            Err(mistake) => self.fail(mistake.code, mistake.message),
        }
    }

    /// An e-mail address.
    pub fn email(self) -> Option<String> {
        let text = self.text()?.trim();
        if text::is_email(text) {
            return Some(text.to_owned());
        }
        self.fail("EMAIL_TYPE_INVALID_EMAIL", "Not a well formed email address.")
    }

    /// A person's unique username, lower-cased.
    pub fn unique_username(self) -> Option<String> {
        self.name_of_account(self.text()?.to_ascii_lowercase(), username::check_unique)
    }

    /// Any account's username: what more holds for people, the region knows to ask.
    pub fn username(self) -> Option<String> {
        self.name_of_account(self.text()?.trim().to_owned(), username::check)
    }

    fn name_of_account(
        &self,
        name: String,
        check: fn(&str) -> Result<(), username::UsernameMistake>,
    ) -> Option<String> {
        self.check_length(name.chars().count(), &(limits::USERNAME_MIN_CHARS..=limits::USERNAME_MAX_CHARS))?;
        match check(&name) {
            Ok(()) => Some(name),
            Err(mistake) => self.fail(mistake.code, mistake.message),
        }
    }
}
