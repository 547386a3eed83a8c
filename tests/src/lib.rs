//! What the acceptance tests share: a running Rookery, people who use it, connections that can be cut.
//!
//! The tests see what users see: the program as `cargo xtask dev` starts it, its ready file, REST and the gateway.

mod lines;
mod people;
mod process;
mod proxy;

pub use lines::Lines;
pub use people::{Person, Seed};
pub use process::Rookery;
pub use proxy::Proxy;

use std::time::Duration;

/// How long a test waits for anything before it says what did not come.
pub const PATIENCE: Duration = Duration::from_secs(60);
