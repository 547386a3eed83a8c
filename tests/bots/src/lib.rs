//! What both bots share: where they go, and the JSON lines that the test reads.

use std::io::Write as _;

use anyhow::Context as _;

/// A variable that the test sets.
pub fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

/// The host and port of the API, as the libraries' proxy settings want it.
pub fn api_authority() -> anyhow::Result<String> {
    let api = variable("ROOKERY_API")?;
    Ok(api.trim_start_matches("http://").trim_end_matches("/api").to_owned())
}

/// Tells the test something.
pub fn say(line: serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // The test went away: there is nobody left to tell.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
