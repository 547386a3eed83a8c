//! What sessions of the tests do.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rookery_tests::{Gateway, PATIENCE};
use serde_json::Value;

pub const INTENTS: u64 =
    rookery_tests::intents::GUILDS | rookery_tests::intents::GUILD_MESSAGES | rookery_tests::intents::MESSAGE_CONTENT;
pub const LAST_WORDS: &str = "that was all";

/// RESUME as soon as somebody takes the connection.
pub async fn resume(gateway: &Gateway) -> anyhow::Result<Gateway> {
    let mut tries = tokio::time::interval(Duration::from_millis(50));
    let tried = async {
        loop {
            tries.tick().await;
            if let Ok(next) = gateway.resumed_copy().await {
                return next;
            }
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.context("nobody takes the session up")
}

/// What everybody is told of themselves and not of what was said.
pub fn is_about_connections(name: &str) -> bool {
    matches!(name, "RESUMED" | "PRESENCE_UPDATE" | "SESSIONS_REPLACE")
}

/// The next event that is about what was said.
pub async fn next(session: &mut Gateway) -> anyhow::Result<(String, Value)> {
    loop {
        let event = session.next_event().await?;
        if !is_about_connections(&event.0) {
            return Ok(event);
        }
    }
}

/// The session's next event is this message and no other.
pub async fn hears(session: &mut Gateway, content: &str) -> anyhow::Result<()> {
    let (name, data) = next(session).await.with_context(|| format!("waiting for {content:?}"))?;
    ensure!(name == "MESSAGE_CREATE" && data["content"] == content, "{name} {data} is not {content:?}");
    Ok(())
}
