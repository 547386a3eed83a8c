//! The guild's core from outside: calls in, rows, events and answers out.

mod channels;
mod dms;
mod gateway;
mod guilds;
mod invites;
mod member_list_ops;
mod members;
mod messages;
mod mirror;
mod property;
mod reactions_and_pins;
mod roles;
mod store;
mod world;
