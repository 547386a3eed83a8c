//! Memory of a session that does nothing.

use serde_json::{Value, json};

use crate::server::Server;
use crate::{client, cpu};

/// People of the guild; sessions share them.
const USERS: usize = 100;

/// With `sessions` sessions.
pub async fn run(sessions: usize) -> anyhow::Result<Value> {
    let server = Server::start(&[]).await?;
    let seed = server.seed(USERS).await?;
    // The guild, the component and the allocator's pools are there before the first count.
    let first = client::sessions(&server.gateway, &seed.user_tokens, USERS).await?;
    let before = cpu::resident_bytes(server.pid())?;
    let all = client::sessions(&server.gateway, &seed.user_tokens, sessions).await?;
    let after = cpu::resident_bytes(server.pid())?;
    drop((first, all));
    Ok(json!({
        "bench": "idle",
        "sessions": sessions,
        "resident_bytes_before": before,
        "resident_bytes_after": after,
        "resident_bytes_per_session": after.saturating_sub(before) / sessions as u64,
    }))
}
