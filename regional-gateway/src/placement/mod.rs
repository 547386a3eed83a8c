//! Which node owns what, as this process knows it, and the task that keeps it so.
//!
//! The rules are in `rookery-placement`, which this drives ([`task`]). What everybody else asks is an [`Ownership`]: where
//! the owner of an id lives now, and whether what an owner here wrote may be acknowledged ([`Tenure`]).

mod boot_clock;
mod ownership;
mod pace;
mod shard_set;
pub mod task;
mod tenure;

pub use ownership::{Location, Missed, Ownership, ShardRef};
pub use shard_set::{ShardEpoch, ShardEpochs, ShardSet};
pub use tenure::Tenure;
