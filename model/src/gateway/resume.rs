//! RESUME (opcode 6): a client takes its session up again.

use serde::Deserialize;

use super::GatewayToken;

/// The data of RESUME.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Resume {
    pub token: GatewayToken,
    pub session_id: String,
    /// The last sequence number that the client received.
    pub seq: u64,
}
