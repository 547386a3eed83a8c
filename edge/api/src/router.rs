//! From method and path to a route.
//!
//! The table is constant data, grouped by the first segment: nothing is built, not even once.

use std::borrow::Cow;

use rookery_model::ErrorCode;

use crate::percent;
use crate::routes::{AREAS, Method, Route};

/// Segments of the longest route, the area included.
const MAX_SEGMENTS: usize = 8;

/// A route and the segments of the path that led to it.
pub struct Matched<'a> {
    pub route: &'static Route,
    segments: Vec<Cow<'a, str>>,
}

impl Matched<'_> {
    /// The segment where the route's pattern has `{name}`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let position = self.route.segments().position(|part| parameter_name(part) == Some(name))?;
        self.segments.get(position).map(AsRef::as_ref)
    }
}

/// Why a path led nowhere.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    UnknownPath,
    UnknownVersion,
    /// The path is known, with these methods.
    WrongMethod(Vec<Method>),
}

impl NoRoute {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPath => ErrorCode::NotFound,
            Self::UnknownVersion => ErrorCode::InvalidApiVersion,
            Self::WrongMethod(_) => ErrorCode::MethodNotAllowed,
        }
    }
}

/// Finds the route; a HEAD is answered as the GET of its path, and the host sends no body (RFC 9110, section 9.3.2).
pub fn find<'a>(method: &str, path: &'a str) -> Result<Matched<'a>, NoRoute> {
    let method = if method == "HEAD" { Method::Get.name() } else { method };
    let path = strip_version(path)?.strip_prefix('/').ok_or(NoRoute::UnknownPath)?;
    let mut parts = path.split('/');
    let area = parts.next().map(percent::decode_segment).unwrap_or_default();
    let (_, routes) = AREAS.iter().find(|(name, _)| *name == area).ok_or(NoRoute::UnknownPath)?;
    let segments: Vec<Cow<'_, str>> = parts.take(MAX_SEGMENTS).map(percent::decode_segment).collect();
    let mut allowed = Vec::new();
    for route in routes.iter().filter(|route| fits(route, &segments)) {
        if route.method.name() == method {
            return Ok(Matched { route, segments });
        }
        if !allowed.contains(&route.method) {
            allowed.push(route.method);
        }
    }
    Err(if allowed.is_empty() { NoRoute::UnknownPath } else { NoRoute::WrongMethod(allowed) })
}

/// Takes `/api`, `/api/v9` or `/api/v10` away.
fn strip_version(path: &str) -> Result<&str, NoRoute> {
    let rest = path.strip_prefix("/api").ok_or(NoRoute::UnknownPath)?;
    let Some(after) = rest.strip_prefix("/v") else { return Ok(rest) };
    let version_end = after.find('/').unwrap_or(after.len());
    let (version, tail) = after.split_at(version_end);
    match version {
        "9" | "10" => Ok(tail),
        _ if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()) => Err(NoRoute::UnknownVersion),
        _ => Ok(rest),
    }
}

fn fits(route: &Route, segments: &[Cow<'_, str>]) -> bool {
    let mut given = segments.iter();
    for part in route.segments() {
        match given.next() {
            Some(segment) if parameter_name(part).is_some() && !segment.is_empty() => {}
            Some(segment) if part == segment => {}
            _ => return false,
        }
    }
    given.next().is_none()
}

fn parameter_name(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(method: &str, path: &str) -> Result<String, NoRoute> {
        find(method, path).map(|matched| matched.route.pattern.to_owned())
    }

    #[test]
    fn the_three_prefixes_are_one() {
        for prefix in ["/api", "/api/v9", "/api/v10"] {
            let path = format!("{prefix}/channels/42/messages");
            let matched = find("POST", &path).ok().unwrap();
            assert_eq!(matched.route.pattern, "/{channel_id}/messages");
            assert_eq!(matched.parameter("channel_id"), Some("42"));
            assert_eq!(matched.parameter("guild_id"), None);
        }
    }

    #[test]
    fn other_versions_are_told() {
        assert_eq!(pattern("GET", "/api/v8/gateway"), Err(NoRoute::UnknownVersion));
        assert_eq!(pattern("GET", "/api/v11/gateway"), Err(NoRoute::UnknownVersion));
        assert_eq!(pattern("GET", "/api/vx/gateway"), Err(NoRoute::UnknownPath));
        assert_eq!(pattern("GET", "/api/voice/regions"), Ok("/regions".into()));
    }

    #[test]
    fn unknown_paths_and_wrong_methods() {
        for path in [
            "",
            "/",
            "/api",
            "/api/",
            "/api/v10",
            "/api/v10/",
            "/apichannels/1",
            "/api/v10/nothing",
            "/v10/gateway",
            "/api/v10/channels",
            "/api/v10/channels/",
            "/api/v10/channels/1/",
            "/api/v10/channels//messages",
            "/api/v10/gateway/",
            "/api/v10/channels/1/messages/2/3/4/5/6/7/8/9",
        ] {
            assert_eq!(pattern("GET", path), Err(NoRoute::UnknownPath), "{path}");
        }
        let Err(NoRoute::WrongMethod(allowed)) = pattern("PUT", "/api/v10/channels/1/messages") else { panic!() };
        assert_eq!(allowed, [Method::Post, Method::Get]);
        assert!(matches!(pattern("get", "/api/v10/gateway"), Err(NoRoute::WrongMethod(_))));
    }

    #[test]
    fn a_head_is_the_get_of_its_path() {
        assert_eq!(pattern("HEAD", "/api/v10/users/@me"), Ok("/@me".into()));
        let Err(NoRoute::WrongMethod(allowed)) = pattern("HEAD", "/api/v10/auth/login") else { panic!() };
        assert_eq!(allowed, [Method::Post]);
    }

    #[test]
    fn literals_go_before_parameters() {
        assert_eq!(pattern("GET", "/api/v10/users/@me"), Ok("/@me".into()));
        assert_eq!(pattern("GET", "/api/v10/users/%40me"), Ok("/@me".into()));
        assert_eq!(pattern("GET", "/api/v10/users/1"), Ok("/{user_id}".into()));
        assert_eq!(pattern("GET", "/api/v10/guilds/1/members/search"), Ok("/{guild_id}/members/search".into()));
        assert_eq!(pattern("GET", "/api/v10/channels/1/messages/pins"), Ok("/{channel_id}/messages/pins".into()));
    }
}
