//! Placement on virtual time, from seeds: nodes of several regions, a store of leases, a bus, and everything that can
//! go wrong with them.
//!
//! Processes die, pause and go on with what they knew, are replaced while they pause, drain and join; clocks are minutes
//! apart and leap; the bus drops, repeats, reorders and is partitioned; the store loses requests and answers, applies what
//! timed out, late, and answers slowly or from the past. Owners write all the while, to a store where the last write wins
//! by timestamp. Whatever happens, [`check::Invariant`] holds.
//!
//! [`mirrors`] does the same with mirrors of an owner that changes.
//!
//! The core is the real one; around it, [`process`] does what the region's shell does.
//!
//! Architecture invariant: no clock, task or socket, and no randomness but the seed's. A world is its seed.

pub mod actions;
pub mod cells;
pub mod check;
pub mod clock;
pub mod lease_store;
pub mod mirrors;
pub mod plant;
pub mod process;
pub mod queue;
pub mod weather;
pub mod world;
