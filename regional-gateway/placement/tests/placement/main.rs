//! What a node decides, by concern, with a store and a bus that do what they are told.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod give;
mod input;
mod lab;
mod lease;
mod mirror;
mod regions;
mod routes;
mod take;
