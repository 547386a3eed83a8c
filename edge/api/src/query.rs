//! The parameters of a query.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use rookery_model::{Snowflake, Timestamp};

use crate::percent;
use crate::read::{At, Errors, naive_timestamp};

/// A query string, parsed where it is asked.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    text: &'a str,
    errors: &'a Errors,
}

impl<'a> Query<'a> {
    pub const fn new(text: &'a str, errors: &'a Errors) -> Self {
        Self { text, errors }
    }

    /// The first parameter of this name, decoded.
    pub fn text(&self, name: &'static str) -> Option<Cow<'a, str>> {
        self.text.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent::decode_query(key) == name).then(|| percent::decode_query(value))
        })
    }

    /// Adds a mistake.
    pub fn error(&self, name: &'static str, code: &'static str, message: impl Into<Cow<'static, str>>) {
        self.errors.add(&At::key(&At::ROOT, name), code, message);
    }

    /// A text that must be there.
    pub fn required_text(&self, name: &'static str, length: RangeInclusive<usize>) -> String {
        let (min, max) = (*length.start(), *length.end());
        match self.text(name) {
            None => self.error(name, "BASE_TYPE_REQUIRED", "This field is required"),
            Some(text) if length.contains(&text.chars().count()) => return text.into_owned(),
            Some(_) => {
                self.error(name, "BASE_TYPE_BAD_LENGTH", format!("Must be between {min} and {max} in length."));
            }
        }
        String::new()
    }

    /// A whole number in the range, or the default if absent.
    pub fn integer<T: TryFrom<i64>>(&self, name: &'static str, range: RangeInclusive<i64>, default: T) -> T {
        let Some(text) = self.text(name) else { return default };
        let Ok(whole) = text.parse::<i64>() else {
            self.error(name, "NUMBER_TYPE_COERCE", format!("Value \"{}\" is not int.", crate::read::shorten(&text)));
            return default;
        };
        if whole < *range.start() {
            let message = format!("int value should be greater than or equal to {}.", range.start());
            self.error(name, "NUMBER_TYPE_MIN", message);
        } else if whole > *range.end() {
            let message = format!("int value should be less than or equal to {}.", range.end());
            self.error(name, "NUMBER_TYPE_MAX", message);
        } else if let Ok(value) = T::try_from(whole) {
            return value;
        }
        default
    }

    /// An id.
    pub fn id<T: From<Snowflake>>(&self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        let quoted = || crate::read::shorten(&text);
        crate::read::snowflake(&text, &At::key(&At::ROOT, name), self.errors, quoted).map(T::from)
    }

    /// `true`, `false`, `1` or `0`, capitals as Python writes them included; false if absent.
    pub fn boolean(&self, name: &'static str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "False" | "0") => false,
            Some("true" | "True" | "1") => true,
            Some(_) => {
                self.error(name, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.");
                false
            }
        }
    }

    /// A moment in ISO 8601.
    pub fn timestamp(&self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name)?;
        // A client that leaves the offset's plus sign bare sends a space.
        let parsed = naive_timestamp(&text).or_else(|| naive_timestamp(&text.replace(' ', "+")));
        if parsed.is_none() {
            let message = format!("Could not parse {}. Should be ISO8601.", crate::read::shorten(&text));
            self.error(name, "DATE_TIME_TYPE_PARSE", message);
        }
        parsed
    }
}
