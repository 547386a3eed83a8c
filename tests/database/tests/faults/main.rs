//! Real nodes are killed and halted under load; nothing acknowledged may be lost.
//!
//! Each scenario brings up a cluster of its own and takes it down; they run one after the other. What they measure is
//! printed, also when they pass.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod alone;
mod breaker;
mod global;
mod planted;
mod regional;
mod rounds;
mod slow_node;

use std::path::Path;

use rookery_test_database::Stage;

/// A stage of this scenario's own; `None` where tests with clusters are left out.
fn stage(scenario: &str, dcs: u8, nodes_per_dc: u8) -> Option<Stage> {
    Stage::set(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("database"), scenario, dcs, nodes_per_dc)
}
