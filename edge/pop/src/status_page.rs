//! The page at `/`: what runs where, until the web client takes its place.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::RwLock;

use crate::handler::ApiResponse;

const TEMPLATE: &str = include_str!("status_page.html");

/// One line of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEntry {
    /// What it is, such as "REST API".
    pub name: String,
    /// Where it is; `None` is shown as not running.
    pub address: Option<String>,
}

impl StatusEntry {
    /// Something that runs.
    pub fn running(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: Some(address.into()) }
    }

    /// Something that does not.
    pub fn absent(name: impl Into<String>) -> Self {
        Self { name: name.into(), address: None }
    }
}

/// The page, rendered whenever what it says changes.
pub(crate) struct StatusPage {
    page: RwLock<Bytes>,
}

impl StatusPage {
    pub fn new(entries: &[StatusEntry]) -> Self {
        Self { page: RwLock::new(render(entries)) }
    }

    pub fn replace(&self, entries: &[StatusEntry]) {
        *self.page.write() = render(entries);
    }

    pub fn response(&self) -> ApiResponse {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            ),
        ]);
        ApiResponse { status: StatusCode::OK, headers, body: self.page.read().clone() }
    }
}

fn render(entries: &[StatusEntry]) -> Bytes {
    let mut rows = String::new();
    for entry in entries {
        let name = escape(&entry.name);
        let address = match &entry.address {
            Some(address) => address_html(address),
            None => r#"<span class="off">not running</span>"#.to_owned(),
        };
        rows.push_str(&format!("<tr><th scope=\"row\">{name}</th><td>{address}</td></tr>\n"));
    }
    TEMPLATE.replace("{{version}}", env!("CARGO_PKG_VERSION")).replace("{{rows}}", &rows).into()
}

fn address_html(address: &str) -> String {
    let escaped = escape(address);
    // Only what a browser can open is a link; that keeps other schemes out as well.
    if address.starts_with("http://") || address.starts_with("https://") {
        format!("<a href=\"{escaped}\"><code>{escaped}</code></a>")
    } else {
        format!("<code>{escaped}</code>")
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(entries: &[StatusEntry]) -> String {
        String::from_utf8(StatusPage::new(entries).response().body.to_vec()).unwrap()
    }

    #[test]
    fn the_page_names_what_runs_and_what_does_not() {
        let page = page(&[StatusEntry::running("REST API", "http://127.0.0.1:1/api"), StatusEntry::absent("Voice")]);
        assert!(page.contains("<a href=\"http://127.0.0.1:1/api\">"));
        assert!(page.contains("Voice</th><td><span class=\"off\">not running"));
        assert!(!page.contains("{{"));
    }

    #[test]
    fn nothing_given_can_become_markup() {
        let page = page(&[StatusEntry::running("<b>\"x'&", "javascript:<script>")]);
        assert!(page.contains("&lt;b&gt;&quot;x&#39;&amp;"));
        assert!(!page.contains("<script>"));
        assert!(!page.contains("href=\"javascript"));
    }

    #[test]
    fn the_page_follows_its_entries() {
        let page = StatusPage::new(&[]);
        page.replace(&[StatusEntry::running("Gateway", "ws://127.0.0.1:2")]);
        assert!(String::from_utf8_lossy(&page.response().body).contains("ws://127.0.0.1:2"));
    }
}
