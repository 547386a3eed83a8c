//! Memory of a session that does nothing, after storms of reconnects too.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bars::{Bar, bars};
use crate::cpu;
use crate::load::{Load, Speech};
use crate::server::Server;
use crate::statistics::two;

/// People of the guild; sessions share them.
const USERS: usize = 100;
const SETS: &[&str] = &["pop.connections.max_open=512"];
/// Storms of reconnects, the first of which sets the mark.
const STORMS: usize = 10;
/// Memory that nobody uses goes back to the kernel within ten seconds.
pub const GIVEN_BACK: Duration = Duration::from_secs(15);

/// With `sessions` sessions that acknowledged what they got, as every client does within a heartbeat's time.
pub async fn run(sessions: usize) -> anyhow::Result<Value> {
    let server = Server::start(SETS).await?;
    let seed = server.seed(USERS).await?;
    // The guild, the component and the allocator's pools are there before the first count.
    let mut first = Load::new(USERS)?;
    first.start(&server.gateway, &seed.user_tokens, Speech::Json)?;
    first.heartbeat()?;
    tokio::time::sleep(GIVEN_BACK).await;
    let before = cpu::resident_bytes(server.pid())?;
    let mut all = Load::new(sessions)?;
    all.start(&server.gateway, &seed.user_tokens, Speech::Json)?;
    for load in [&mut all, &mut first] {
        load.heartbeat()?;
    }
    tokio::time::sleep(GIVEN_BACK).await;
    let after = cpu::resident_bytes(server.pid())?;
    let per_session = after.saturating_sub(before) as f64 / sessions as f64;
    Ok(json!({
        "bench": "idle",
        "sessions": sessions,
        "resident_bytes_before": before,
        "resident_bytes_after": after,
        "resident_bytes_per_session": per_session.round(),
        "bars": bars([Bar::at_most("resident_bytes_per_session", per_session, 6_144.0)]),
    }))
}

/// All sessions lose their connections and come back as new ones, again and again.
pub async fn storm(sessions: usize) -> anyhow::Result<Value> {
    // Those that nobody resumes are over before the next storm.
    let sets = [SETS, &["gateway.session.resume_window_ms=1000"]].concat();
    let server = Server::start(&sets).await?;
    let seed = server.seed(USERS).await?;
    let mut all = Load::new(sessions)?;
    let mut resident = Vec::new();
    for _ in 0..STORMS {
        all.start(&server.gateway, &seed.user_tokens, Speech::Json)?;
        all.heartbeat()?;
        tokio::time::sleep(GIVEN_BACK).await;
        resident.push(cpu::resident_bytes(server.pid())?);
        all.reset()?;
        server.wait_for_sessions(0).await?;
    }
    let of_first = two(resident[STORMS - 1] as f64 / resident[0] as f64);
    Ok(json!({
        "bench": "storm",
        "sessions": sessions,
        "storms": STORMS,
        "resident_bytes_after_each": resident,
        "last_of_first": of_first,
        "bars": bars([Bar::at_most("last_of_first", of_first, 1.05)]),
    }))
}
