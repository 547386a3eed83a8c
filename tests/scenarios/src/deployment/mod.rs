//! A running deployment, and what can be done to it.

mod fixed;
mod lab;
mod layout;
mod started;

use std::fmt;

pub use fixed::Places;
pub use lab::{Lab, XTASK_VARIABLE};
pub use layout::{Layout, NodeLayout, PopLayout, RegionLayout};
pub use started::{Options, Started, Store};

/// What kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `rookery region`.
    Node,
    /// `rookery pop`.
    Pop,
    /// All of a region's database nodes.
    Database,
    /// A region's NATS server.
    Bus,
}

/// A process, or what stands for several: which of its kind in which region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub role: Role,
    pub region: usize,
    /// Which of the region's; 0 for database and bus.
    pub index: usize,
}

impl Target {
    pub const fn node(region: usize, index: usize) -> Self {
        Self { role: Role::Node, region, index }
    }
    pub const fn pop(region: usize, index: usize) -> Self {
        Self { role: Role::Pop, region, index }
    }
    pub const fn database(region: usize) -> Self {
        Self { role: Role::Database, region, index: 0 }
    }
    pub const fn bus(region: usize) -> Self {
        Self { role: Role::Bus, region, index: 0 }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, region, index } = self;
        match role {
            Role::Node => write!(f, "node {index} of region {region}"),
            Role::Pop => write!(f, "point of presence {index} of region {region}"),
            Role::Database => write!(f, "the database of region {region}"),
            Role::Bus => write!(f, "the bus of region {region}"),
        }
    }
}

/// Where a fault cannot be made, what is missing for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotHere(pub String);

/// A deployment whose processes can be ended, started, halted and cut off.
///
/// All but [`Deployment::layout`] return when what they ask for is true, or fail. A fault that this kind of deployment
/// has no means for is [`NotHere`], and the scenario says so and leaves it out.
#[allow(async_fn_in_trait, reason = "one thread drives a scenario; nothing of it is sent to others")]
pub trait Deployment {
    /// Where its parts answer. It stays the same while processes come and go.
    fn layout(&self) -> &Layout;
    /// Ends it at once (SIGKILL), as a crash would.
    async fn kill(&mut self, target: Target) -> anyhow::Result<()>;
    /// Asks it to drain (SIGTERM) and waits for its end, which must be a good one.
    async fn end(&mut self, target: Target) -> anyhow::Result<()>;
    /// Starts it anew where it was, on what it left; returns when it is ready.
    async fn start(&mut self, target: Target) -> anyhow::Result<()>;
    /// Halts it (SIGSTOP): it keeps its connections and answers nothing.
    async fn halt(&mut self, target: Target) -> anyhow::Result<()>;
    /// Lets it go on (SIGCONT).
    async fn go_on(&mut self, target: Target) -> anyhow::Result<()>;
    /// Cuts a region off from all others; its clients still reach it.
    async fn cut(&mut self, region: usize) -> anyhow::Result<()>;
    /// Takes that back.
    async fn heal(&mut self, region: usize) -> anyhow::Result<()>;
    /// Starts a node again with a clock that is off by so many seconds.
    async fn start_skewed(&mut self, target: Target, skew_s: i64) -> anyhow::Result<()>;
    /// Fills the disk that a node's data folder is on.
    async fn fill_disk(&mut self, region: usize) -> anyhow::Result<()>;
    /// Takes that back.
    async fn empty_disk(&mut self, region: usize) -> anyhow::Result<()>;
    /// The end of what a process wrote to its log, for people who look for the reason.
    fn log(&self, target: Target) -> String;
}
