//! The member list of a channel: groups and members in one numbering, and how a change of it looks to those who see
//! ranges of it.
//!
//! A pure structure, of ids and names alone: the guild's core decides who is in it and shows the members. What a range
//! holds, where a member stands and what a change moves costs O(log n); nothing costs by the number of members.

mod change;
mod key;
mod list;
mod list_id;
mod spans;

pub use change::{Change, Op};
pub use key::sort_name;
pub use list::{Item, MemberList};
pub use list_id::list_id;
pub use spans::Spans;
