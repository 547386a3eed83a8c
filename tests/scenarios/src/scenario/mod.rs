//! What happens on a game day, and what must hold on it.

mod faults;
mod region_killed;
mod rolling_update;

pub use faults::{bus_killed, clock_skew, full_disk, node_killed, node_paused, partition, reconnect_storm, slow_disk};
pub use region_killed::{Promise, region_killed};
pub use rolling_update::rolling_update;
