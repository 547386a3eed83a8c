//! What of the region's shell holds no task and no socket: the very files, not copies.

#[path = "../../../regional-gateway/src/owners/locks.rs"]
pub mod locks;
#[path = "../../../regional-gateway/src/gateway/subscriptions.rs"]
#[allow(dead_code, reason = "the region uses more of it")]
pub mod subscriptions;
