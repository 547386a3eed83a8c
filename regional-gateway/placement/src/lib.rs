//! Who owns which virtual shard: a state machine without sockets, clocks, tasks, randomness or a database.
//!
//! Everything about a guild, DM or user is decided by one node, the owner of its [`VirtualShard`]. A [`NodePlacement`] is
//! one node's part in keeping it so: it holds the node's lease, hears of the others, takes the shards that the node
//! should own ([`rendezvous`]), gives away those that it should not, and knows where the rest are.
//!
//! # What is safe, and why
//! Two rows are behind everything, changed only by compare-and-set at SERIAL (`core-db/schema/0040`, `0041`): a node's
//! lease of its worker id, and the row of a shard, which names a node and an epoch.
//!
//! - **One owner.** A node acknowledges only while its lease runs by its own monotonic clock, less a margin
//!   ([`NodePlacement::may_acknowledge`]). Its shards are taken only once its lease was *ended* in the store, or given away
//!   by itself. Others end a lease when they saw the same renewal for the length of a lease, a write and some slack by
//!   their own clocks, and the compare-and-set fails if it was renewed meanwhile. No two clocks are ever compared.
//! - **An incarnation is over for good.** A node that lost its lease, if only for a moment, takes it anew with a higher
//!   epoch and is another [`NodeId`]: rows that name the former one are not its own.
//! - **Epochs never go back.** Each change of a shard's row raises its epoch by one. A node has an epoch once: when it tried
//!   to give a shard away it never goes on at the same epoch, because the attempt may be applied yet.
//! - **Unknown outcomes** of a compare-and-set are read again, never assumed.
//! - **Floors.** A shard's row says above what its owner's ids and write timestamps begin: above all that owners before it
//!   used, or were allowed to use by the ceilings in their leases. A node owns a shard only once its own ceilings lie
//!   above the floors, which may be ahead of its clock.
//!
//! What nodes tell each other ([`Message`]) may be lost, repeated or late: only speed and routes hang on it.
//!
//! # How long it takes
//! A node that drains is asked for its shards by those who should own them, and changes each row itself: one drain, one
//! compare-and-set, one message, one read ([`HAND_OVER_MAX_MS`]). That it gave its lease back it says to all, so that nobody
//! waits for the end of that where a shard was given to it meanwhile. A dead node's shards have owners within
//! [`TAKE_OVER_MAX_MS`]; [`Timings`] has the sum.
//!
//! # How it is driven
//! Everything goes in by `handle_*` with the time, everything comes out by `poll_*`. After each `handle_*` the shell
//! fetches events, store requests and messages until there are none, and sets a timer to
//! [`poll_timeout`](NodePlacement::poll_timeout). Events are carried out in order.
//!
//! ```
//! use rookery_model::Snowflake;
//! use rookery_model::lease::LeaseSwap;
//! use rookery_placement::{Config, Event, NodePlacement, Now, RegionName, StoreAnswer, StoreCall, VirtualShard};
//!
//! let eu = RegionName::new("eu")?;
//! let config = Config::new(eu.clone(), vec![eu.clone()], 5, 0x2f_4a11);
//! let now = Now { monotonic_ms: 1_000, wall_us: 1_700_000_000_000_000 };
//! let mut node = NodePlacement::new(config, now)?;
//!
//! // The shell asks the store what the core wants to know: `Store::worker_lease`, `virtual_shard_leases`,
//! // `swap_worker_lease` and so on. This one is empty, and whatever is put there is put there.
//! let mut activated = 0;
//! while let Some(request) = node.poll_store() {
//!     let answer = match request.call {
//!         StoreCall::WorkerLease(_) => StoreAnswer::WorkerLease(None),
//!         StoreCall::VirtualShardLease(..) => StoreAnswer::VirtualShardLease(None),
//!         StoreCall::VirtualShardLeases(_) => StoreAnswer::VirtualShardLeases(Vec::new()),
//!         StoreCall::Swap(LeaseSwap::Worker { .. } | LeaseSwap::VirtualShard { .. }) => StoreAnswer::Swapped,
//!     };
//!     node.handle_store(now, request.op, answer);
//!     while let Some(event) = node.poll_event() {
//!         activated += usize::from(matches!(event, Event::Activate { .. }));
//!     }
//! }
//! // Alone, it owns everything.
//! assert_eq!(activated, 4_096);
//!
//! // A call for a guild came. What it writes is acknowledged only if the node owns the shard when it is durable.
//! let shard = VirtualShard::of(Snowflake(175_928_847_299_117_063));
//! let epoch = node.epoch(&eu, shard).ok_or("not owned here")?;
//! assert!(node.may_acknowledge(now.monotonic_ms, &eu, shard, epoch));
//! // The store does not answer any more: a margin before the lease's end it is over with that.
//! assert!(!node.may_acknowledge(8_000, &eu, shard, epoch));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the shell must see to: ids and write timestamps of a shard's owners lie above its floors and never above
//! [`NodePlacement::ceilings`], and it tells how far they came ([`NodePlacement::handle_used`], `handle_drained`); a write is
//! not attempted after the lease's end, and each attempt ends within [`Timings::write_timeout_ms`]; the monotonic clock
//! also runs while the machine is suspended.

mod config;
pub mod digest;
mod event;
mod lease;
mod mark;
mod members;
mod message;
pub mod mirror;
mod mix;
mod node_id;
mod node_placement;
mod now;
mod outbox;
mod region;
pub mod rendezvous;
mod routes;
mod shards;
mod shared;
mod store;
mod virtual_shard;

pub use config::{Config, ConfigError, HAND_OVER_MAX_MS, Limits, Marks, TAKE_OVER_MAX_MS, Timings};
pub use event::Event;
pub use message::{Heartbeat, Message, NotOwner, Outgoing, Owner, To};
pub use mix::mix;
pub use node_id::{NoNodeId, NodeId};
pub use node_placement::NodePlacement;
pub use now::Now;
pub use region::{HomeRegion, NoRegionName, RegionName};
pub use routes::RouteTable;
pub use store::{OpId, StoreAnswer, StoreCall, StoreRequest};
pub use virtual_shard::{NoVirtualShard, VirtualShard};
