//! Which voice node has the rooms of a server (a guild, or a call), and who is let into them, as a state machine.
//!
//! There is no socket, clock, task or randomness in here. [`VoiceRooms`] takes what the owners of guilds and DMs want
//! ([`VoiceEntry`](rookery_model::voice::VoiceEntry)), and what voice nodes tell; [`poll_output`](VoiceRooms::poll_output) gives commands for nodes, and notices
//! for owners: which node a client is to go to. Commands and what they are answered with may be lost, so a command
//! is said again until it is done.
//!
//! The rooms of a server that want the same region are at one node: of that region, where there is one, and else of the
//! region that the owner lives in. A client is told one node a server, and goes to another when it goes to a channel of
//! another region. When a node falls silent,
//! starts anew or drains, its rooms go to another one and every member is told. A node that was silent is told to forget
//! everybody when it is heard again: all of them are elsewhere by then.

mod debts;
mod nodes;
mod rooms;
mod server;

pub use rooms::{Config, Notice, Output, Tokens, VoiceRooms};
