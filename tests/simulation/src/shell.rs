//! What of the region's shell holds no task and no socket: the very files, not copies.

#[path = "../../../regional-gateway/src/owners/locks.rs"]
pub mod locks;
#[path = "../../../regional-gateway/src/gateway/subscriptions.rs"]
pub mod subscriptions;
