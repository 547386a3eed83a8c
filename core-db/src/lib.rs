//! Durable state: one schema, two engines, one interface.
//!
//! The rest of the program holds a [`Store`] and speaks in terms of the model; which engine runs is configuration.
//! Architecture invariant: no type of an engine's library appears in a public signature of this crate.

pub mod archive;
mod bucket;
mod coalesce;
mod config;
mod cql;
mod doomed;
pub mod dump;
mod embedded;
pub mod engine;
mod error;
pub mod faults;
pub mod fill;
pub mod floor;
mod key;
mod leases;
mod lower;
mod page;
mod records;
mod row;
mod stats;
mod store;
mod tables;
mod users;

pub use coalesce::CoalesceConfig;
pub use config::{CqlConfig, Durability, EmbeddedConfig};
pub use cql::Migrated;
pub use engine::{Commit, Engine, LeaseRow, MessageRange, OwnReaction, PinRow};
pub use error::{OpenError, StoreError};
pub use page::MessagePage;
pub use records::file_removal;
pub use rookery_model::store::{
    AttachmentRow, DmRow, EmojiRow, ImportRow, MessageEditRow, OperationRow, ReactionCountRow, ReactionRow, ReadState,
    RetentionRow, SettingsRow, UniqueKey, Write,
};
pub use stats::{StoreHealth, StoreStats};
pub use store::Store;
