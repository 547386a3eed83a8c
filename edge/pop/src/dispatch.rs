//! Who answers a request: the component, the path for bulk bytes, or the host itself.

use http::request::Parts;
use http::{HeaderValue, Method, header};

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The API: the component, with the whole body in memory.
    Component,
    /// Bulk bytes (attachments), which stream past the component.
    Bulk,
    /// A browser's question whether it may call the API.
    Preflight,
    /// The page that says what runs where.
    StatusPage,
    /// No such thing.
    Nothing,
}

impl Target {
    /// The name in metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Bulk => "bulk",
            Self::Preflight => "preflight",
            Self::StatusPage => "status_page",
            Self::Nothing => "nothing",
        }
    }
}

/// Decides by method, path and content type, before anything of the body is read.
pub(crate) fn target_of(request: &Parts) -> Target {
    let path = request.uri.path();
    if !is_api(path) {
        return match (path, &request.method) {
            ("/", &Method::GET | &Method::HEAD) => Target::StatusPage,
            _ => Target::Nothing,
        };
    }
    if request.method == Method::OPTIONS {
        return Target::Preflight;
    }
    if matches!(request.method, Method::POST | Method::PATCH | Method::PUT)
        && request.headers.get(header::CONTENT_TYPE).is_some_and(is_multipart)
    {
        return Target::Bulk;
    }
    Target::Component
}

/// `/api`, `/api/v9/…`, `/api/v10/…` are one to the host; the API tells versions apart.
fn is_api(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_multipart(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn target(method: Method, path: &str, content_type: Option<&str>) -> Target {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        target_of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn every_version_of_the_api_goes_to_the_component() {
        for path in ["/api", "/api/", "/api/gateway", "/api/v9/gateway", "/api/v10/gateway?x=1", "/api/v6/gateway"] {
            assert_eq!(target(Method::GET, path, None), Target::Component, "{path}");
        }
        assert_eq!(target(Method::POST, "/api/v10/channels/1/messages", Some("application/json")), Target::Component);
    }

    #[test]
    fn multipart_bodies_go_past_the_component() {
        let multipart = Some("Multipart/Form-Data; boundary=x");
        assert_eq!(target(Method::POST, "/api/v10/channels/1/messages", multipart), Target::Bulk);
        assert_eq!(target(Method::PATCH, "/api/v10/channels/1/messages/2", multipart), Target::Bulk);
        assert_eq!(target(Method::GET, "/api/v10/gateway", multipart), Target::Component);
    }

    #[test]
    fn what_is_no_api_is_the_hosts_own() {
        assert_eq!(target(Method::GET, "/", None), Target::StatusPage);
        assert_eq!(target(Method::POST, "/", None), Target::Nothing);
        for path in ["/apix", "/favicon.ico", "/healthz", "//api"] {
            assert_eq!(target(Method::GET, path, None), Target::Nothing, "{path}");
        }
        assert_eq!(target(Method::OPTIONS, "/api/v10/users/@me", None), Target::Preflight);
    }
}
