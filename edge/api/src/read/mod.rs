//! Reading what a client sent, with every mistake collected under the path of its field.
//!
//! A route reads all fields and carries on with defaults where one is wrong; [`Errors`] then decides, in one place
//! outside the route, whether the call is made at all.

mod field;
mod item;
mod text;

pub use field::{Field, Object};
pub use item::Item;
pub use text::{naive_timestamp, shorten, snowflake};

use std::borrow::Cow;
use std::cell::RefCell;

use rookery_model::{FieldError, PathSegment};

/// Mistakes told at once: a body of a megabyte can make a hundred thousand, each with its path.
const MISTAKES_MAX: usize = 100;

/// What was wrong so far, the first [`MISTAKES_MAX`] of it.
pub struct Errors(RefCell<Vec<FieldError>>);

impl Errors {
    /// Nothing was wrong yet.
    pub const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Adds a mistake, unless there are more already than anybody reads.
    pub fn add(&self, at: &At<'_>, code: &'static str, message: impl Into<Cow<'static, str>>) {
        let mut list = self.0.borrow_mut();
        if list.len() >= MISTAKES_MAX {
            return;
        }
        list.push(FieldError { path: at.path(), code: code.into(), message: message.into() });
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All mistakes.
    pub fn into_list(self) -> Vec<FieldError> {
        self.0.into_inner()
    }
}

/// Where in a body something stands: a list on the stack, because most paths are never told.
#[derive(Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Key(&'static str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The body itself.
    pub const ROOT: Self = At { parent: None, step: Step::Root };

    /// A field of an object, a parameter of a query, a segment of a path.
    pub const fn key(parent: &'a At<'a>, key: &'static str) -> Self {
        At { parent: Some(parent), step: Step::Key(key) }
    }

    /// A place in a list.
    pub const fn index(parent: &'a At<'a>, index: usize) -> Self {
        At { parent: Some(parent), step: Step::Index(index) }
    }

    fn path(&self) -> Vec<PathSegment> {
        let mut path = self.parent.map_or_else(Vec::new, At::path);
        match self.step {
            Step::Root => {}
            Step::Key(key) => path.push(PathSegment::from(key)),
            Step::Index(index) => path.push(PathSegment::from(index)),
        }
        path
    }
}
