//! The guild's core from outside: calls in, rows, events and answers out.

mod audiences;
mod call_streams;
mod calls;
mod calls_property;
mod channels;
mod dms;
mod gateway;
mod guilds;
mod invites;
mod lazy_guilds;
mod member_list_ops;
mod members;
mod messages;
mod mirror;
mod passive;
mod presence;
mod property;
mod reactions_and_pins;
mod rng;
mod roles;
mod stages;
mod store;
mod streams;
mod voice;
mod voice_status;
mod world;
