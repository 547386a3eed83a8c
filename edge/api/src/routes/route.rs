//! What a route is.

use rookery_model::call::Reply;

use crate::auth::Access;
use crate::handle::Build;
use crate::shape::{self, Body};

/// A method that some route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How a reply becomes a response.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The status, unless the reply has no body: then it is 204.
    pub status: u16,
    pub body: fn(Reply) -> Body,
}

/// One path and method. A token is wanted unless the route says otherwise.
pub struct Route {
    pub method: Method,
    /// What follows the area: empty, or `/` and segments, parameters as `{name}`.
    pub pattern: &'static str,
    pub access: Access,
    pub build: Build,
    pub shape: Shape,
}

impl Route {
    const fn new(method: Method, pattern: &'static str, build: Build) -> Self {
        let shape = Shape { status: 200, body: shape::plain };
        Self { method, pattern, access: Access::Token, build, shape }
    }

    pub const fn get(pattern: &'static str, build: Build) -> Self {
        Self::new(Method::Get, pattern, build)
    }

    pub const fn post(pattern: &'static str, build: Build) -> Self {
        Self::new(Method::Post, pattern, build)
    }

    pub const fn put(pattern: &'static str, build: Build) -> Self {
        Self::new(Method::Put, pattern, build)
    }

    pub const fn patch(pattern: &'static str, build: Build) -> Self {
        Self::new(Method::Patch, pattern, build)
    }

    pub const fn delete(pattern: &'static str, build: Build) -> Self {
        Self::new(Method::Delete, pattern, build)
    }

    /// Who may use it.
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// A status of success that is not 200.
    pub const fn created(mut self) -> Self {
        self.shape.status = 201;
        self
    }

    /// A body that is not the entity itself.
    pub const fn body(mut self, body: fn(Reply) -> Body) -> Self {
        self.shape.body = body;
        self
    }

    /// The status of success.
    pub const fn status(&self) -> u16 {
        self.shape.status
    }

    /// The pattern's segments; none for the area itself.
    pub fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.pattern.split('/').skip(1)
    }
}
