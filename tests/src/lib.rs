//! What the acceptance tests share: a running Rookery, people who use it, connections that can be cut.
//!
//! The tests see what users see: the program as `cargo xtask dev` starts it, its ready file, REST and the gateway.

mod answer;
mod gateway;
mod lines;
mod nats;
mod people;
mod process;
mod proxy;
mod rookery;
mod scene;
mod shared;
mod store;
mod voice;

pub use answer::Answer;
pub use gateway::{Arrival, Gateway, intents};
pub use lines::Lines;
pub use nats::NatsServer;
pub use people::{PASSWORD, Person, Seed, http_client};
pub use process::{Ended, Process, Signal, free_address, program, run, run_for};
pub use proxy::Proxy;
pub use rookery::Rookery;
pub use scene::{Guild, bot_in, text};
pub use shared::{InUse, Shared};
pub use store::{Cluster, cluster};
pub use voice::{VoiceClient, VoicePlace};

use std::time::Duration;

/// How long a test waits for anything before it says what did not come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Likewise for a start: in a cluster it makes a keyspace and its tables, one after another.
const START_PATIENCE: Duration = Duration::from_secs(240);
