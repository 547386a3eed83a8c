//! Which voice node has the rooms of a server (a guild, or a call), and who is let into them, as a state machine.
//!
//! There is no socket, clock, task or randomness in here. [`VoiceRooms`] takes what the owners of guilds and DMs want
//! ([`VoiceEntry`](rookery_model::voice::VoiceEntry)), and what voice nodes tell; [`poll_output`](VoiceRooms::poll_output) gives commands for nodes, and notices
//! for owners: which node a client is to go to. Commands and what they are answered with may be lost, so a command
//! is said again until it is done.
//!
//! The rooms of a server that want the same region are at one node: of that region, where there is one, and else of the
//! region that the owner lives in. Where they have more members than one node is to have, further ones go to a further node,
//! and where a channel wants no region, members whose session is in another one go to a node there. Nodes that have
//! members of the same room are told of links between them (`links.rs`). When a node falls silent,
//! starts anew or drains, its members go to other ones and are told. A node that was silent is told to forget
//! everybody when it is heard again: all of them are elsewhere by then.

mod debts;
mod links;
mod nodes;
mod placing;
mod rooms;
mod server;

pub use rooms::{Config, Notice, Output, Tokens, VoiceRooms};
