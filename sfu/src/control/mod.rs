//! What the nodes of a region want of this voice node, over the bus.

mod seats;
mod task;

pub use task::{Control, ControlError, ControlInit};
