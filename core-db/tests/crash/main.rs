//! What is left of an embedded store after things went wrong: `kill -9`, torn journals, a full disk.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what tests share fails and prints like a test")]

mod archive;
mod common;
mod full_disk;
mod kill;
mod lock;
mod torn;
