//! The number by which the cores of a process name a live gateway session.

/// A live gateway session of a process, as the guild's and the user's core know it; the shell never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(pub u64);
