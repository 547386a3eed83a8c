//! Guild cores, user cores, sessions and clients on a simulated bus, on virtual time, from seeds.
//!
//! People join, leave, write, get roles and lose them; connections break, clients stall, batches fail, owners are loaded
//! anew. Whatever happens, for every session ([`check::Invariant`]): no event is missing, repeated, out of order or seen
//! by somebody who may not see it at that point of the stream, and who does nothing but apply events holds the true
//! state in the end.
//!
//! Everything is real but the world around the cores: [`guild_owner`], [`user_owner`] and [`session_process`] do what the
//! region's shell does around them, without its tasks. What the truth is ([`truth`]) is computed by brute force from the
//! rows, without a line of the cores.
//!
//! Architecture invariant: no clock, task or socket, and no randomness but the seed's. A world is its seed.

pub mod actions;
pub mod bus;
pub mod check;
pub mod client;
pub mod env;
pub mod fact;
pub mod guild_owner;
pub mod model;
pub mod plant;
mod rest;
pub mod session_process;
pub mod setup;
mod shell;
pub mod socket;
pub mod store;
pub mod truth;
pub mod user_owner;
pub mod world;
