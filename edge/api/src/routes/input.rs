//! What a route is given.

use std::borrow::Cow;
use std::cell::OnceCell;

use rookery_model::{ApiError, ErrorCode, Snowflake};
use serde_json::Value;

use crate::handle::Build;
use crate::query::Query;
use crate::read::{At, Errors, Item, Object, shorten, snowflake};
use crate::router::Matched;
use crate::{Config, Request};
use rookery_model::call::Call;

/// A request, cut into what a route reads: ids of the path, parameters of the query, the body.
pub struct Input<'a> {
    matched: &'a Matched<'a>,
    request: &'a Request,
    pub config: &'a Config,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    errors: Errors,
    body: OnceCell<Value>,
}

impl<'a> Input<'a> {
    pub const fn new(matched: &'a Matched<'a>, request: &'a Request, config: &'a Config, now_ms: u64) -> Self {
        Self { matched, request, config, now_ms, errors: Errors::new(), body: OnceCell::new() }
    }

    /// Runs the route; the call is made only if nothing was wrong.
    pub fn finish(self, build: &Build) -> Result<Call, ApiError> {
        let call = build(&self);
        if self.errors.is_empty() { call } else { Err(ApiError::invalid_form(self.errors.into_list())) }
    }

    /// Adds a mistake that is not a field's.
    pub fn error(&self, name: &'static str, code: &'static str, message: impl Into<Cow<'static, str>>) {
        self.errors.add(&At::key(&At::ROOT, name), code, message);
    }

    /// Whether nothing was wrong so far.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// A segment of the path.
    pub fn segment(&self, name: &'static str) -> &str {
        self.matched.parameter(name).unwrap_or_default()
    }

    /// An id of the path.
    pub fn id<T: From<Snowflake>>(&self, name: &'static str) -> T {
        let text = self.segment(name);
        let id = snowflake(text, &At::key(&At::ROOT, name), &self.errors, || shorten(text));
        T::from(id.unwrap_or_default())
    }

    /// The query.
    pub fn query(&self) -> Query<'_> {
        Query::new(self.request.query.as_deref().unwrap_or_default(), &self.errors)
    }

    /// The body as an object; without a body it is an empty one.
    pub fn body(&self) -> Result<Object<'_>, ApiError> {
        self.json()?.object().ok_or_else(|| ErrorCode::InvalidFormBody.into())
    }

    /// The body, whatever it is.
    pub fn json(&self) -> Result<Item<'_>, ApiError> {
        if self.body.get().is_none() {
            // A second reader cannot have come between.
            let _ = self.body.set(self.parse()?);
        }
        let value = self.body.get().unwrap_or(&Value::Null);
        Ok(Item::root(value, &self.errors))
    }

    fn parse(&self) -> Result<Value, ApiError> {
        let content_type = self.request.header("content-type").unwrap_or_default();
        // Files go past the component, through the host.
        let is_multipart = content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
        if is_multipart {
            return Err(ErrorCode::UnsupportedMediaType.into());
        }
        if self.request.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        // The parser stops at 128 levels, so that no later step meets a deeper value.
        serde_json::from_slice(&self.request.body).map_err(|_| ErrorCode::MalformedJson.into())
    }
}
