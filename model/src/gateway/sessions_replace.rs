//! SESSIONS_REPLACE: all sessions of a user, for their own clients; also `sessions` in READY.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Activity, Status};

/// What one of the user's clients runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// `desktop`, `mobile` or `web`.
    pub client: String,
    pub os: String,
    pub version: u32,
}

/// A session as its user's other sessions know it; its status may be invisible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSession {
    /// Names it among the user's sessions; not the id that RESUME takes.
    pub session_id: String,
    pub status: Status,
    pub activities: Arc<[Activity]>,
    pub client_info: ClientInfo,
    /// Whether its client is connected and not away.
    pub active: bool,
}
