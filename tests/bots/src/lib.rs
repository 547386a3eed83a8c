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

/// Says that a bot is ready once it has the guilds that its READY names, as larger libraries do: what happens there before
/// that it does not hear.
#[derive(Default)]
pub struct Start {
    waiting: Option<(serde_json::Value, usize)>,
}

impl Start {
    /// READY came, of a user who is in so many guilds.
    pub fn ready(&mut self, user_id: &str, guilds: usize) {
        let line = serde_json::json!({ "ready": true, "user": user_id, "guilds": guilds });
        self.waiting = Some((line, guilds));
        self.tell();
    }

    /// A guild of it came.
    pub fn guild(&mut self) {
        if let Some((_, left)) = &mut self.waiting {
            *left = left.saturating_sub(1);
        }
        self.tell();
    }

    fn tell(&mut self) {
        if let Some((line, _)) = self.waiting.take_if(|(_, left)| *left == 0) {
            say(line);
        }
    }
}
