//! Durable state: one schema, two engines, one interface.
//!
//! The rest of the program holds a [`Store`] and speaks in terms of the model; which engine runs is configuration.
//! Architecture invariant: no type of an engine's library appears in a public signature of this crate.

mod bucket;
mod coalesce;
mod config;
mod embedded;
pub mod engine;
mod error;
pub mod faults;
pub mod floor;
mod key;
mod lower;
mod page;
mod row;
mod stats;
mod store;
mod tables;

pub use coalesce::CoalesceConfig;
pub use config::EmbeddedConfig;
pub use engine::{Commit, Engine, MessageRange, OwnReaction, PinRow};
pub use error::{OpenError, StoreError};
pub use page::MessagePage;
pub use rookery_model::store::{DmRow, OperationRow, ReactionCountRow, ReactionRow, ReadState, UniqueKey, Write};
pub use stats::{StoreHealth, StoreStats};
pub use store::Store;
