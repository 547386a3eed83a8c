//! What the server answered, whatever it was, and the checks that every error goes through.

use anyhow::{Context as _, ensure};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where there is none.
    pub body: Value,
}

impl Answer {
    /// Reads a whole response; a body that is there must be JSON.
    pub(crate) async fn read(response: reqwest::Response) -> anyhow::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .with_context(|| format!("{status} without JSON: {}", String::from_utf8_lossy(&bytes)))?
        };
        Ok(Self { status, headers, body })
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that must be there and be a number.
    pub fn number(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.header(name).with_context(|| format!("no header {name} in {self:?}"))?;
        text.parse().with_context(|| format!("{name}: {text}"))
    }

    /// The body of a success.
    pub fn success(self) -> anyhow::Result<Value> {
        ensure!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        Ok(self.body)
    }

    /// Checks for an error in the API's shape, with this status and code.
    pub fn is_error(&self, status: u16, code: u64) -> anyhow::Result<()> {
        ensure!(self.status == status, "expected {status} with code {code}, got {} {}", self.status, self.body);
        ensure!(self.body["code"] == code, "expected {status} with code {code}, got {} {}", self.status, self.body);
        let message = self.body["message"].as_str().unwrap_or_default();
        ensure!(!message.is_empty(), "an error without message: {}", self.body);
        Ok(())
    }

    /// Checks for a 50035 that names exactly these fields, each given as `embeds.0.title`.
    pub fn names_fields(&self, fields: &[&str]) -> anyhow::Result<()> {
        self.is_error(400, 50035)?;
        let mut found = Vec::new();
        collect(&self.body["errors"], String::new(), &mut found)?;
        let mut wanted: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        wanted.sort();
        found.sort();
        found.dedup();
        ensure!(found == wanted, "expected the fields {wanted:?}, got {found:?}: {}", self.body);
        Ok(())
    }
}

/// The paths under which there are errors.
fn collect(node: &Value, path: String, found: &mut Vec<String>) -> anyhow::Result<()> {
    for (key, child) in node.as_object().with_context(|| format!("no object at {path:?}: {node}"))? {
        if key == "_errors" {
            for error in child.as_array().context("_errors is a list")? {
                let is_whole = error["code"].is_string() && error["message"].is_string();
                ensure!(is_whole, "{path}: {error}");
            }
            found.push(path.clone());
        } else {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            collect(child, path, found)?;
        }
    }
    Ok(())
}
