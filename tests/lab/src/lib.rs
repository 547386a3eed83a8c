//! Many regions on one machine, each in a network of its own, with wide-area delay and loss between them.
//!
//! `cargo xtask lab` is the command line of this crate; tests and game days use it as a library. A lab lives in a folder,
//! whose `lab.json` ([`State`]) names every process, so any program can look at it, break it and mend it:
//!
//! - [`Lab::up`] starts it: of each region a data centre of the database, a NATS server with gateways to the others,
//!   nodes, a point of presence and Prometheus, and two name servers for all;
//! - [`Lab::status`] asks everything how it is;
//! - [`Lab::break_region`], [`Lab::break_node`], [`Lab::break_bus`] and [`Lab::heal`] do what their names say;
//! - [`Lab::down`] ends it.
//!
//! What the processes are told comes from the templates of `terraform/modules/node-config`, so what is tried here is what
//! is deployed; [`machine_files`] says what differs. Where network namespaces cannot be made, regions get
//! loopback addresses, and nothing is delayed.

mod faults;
mod health;
mod http;
mod interrupt;
mod lab;
pub mod machine_files;
mod network;
mod plan;
mod process;
mod programs;
mod rendered;
mod setting_up;
mod state;
mod status;
mod waiting;
pub mod wan;

pub use faults::Fault;
pub use interrupt::Interrupt;
pub use lab::Lab;
pub use network::{WanBytes, connect_time, enter};
pub use plan::{Machine, Mode, NODES_PER_REGION_MAX, Options, Plan, PlannedRegion, REGIONS_MAX, Role, port};
pub use programs::{Programs, TERRAFORM_VARIABLE, server};
pub use state::{ProcessState, RegionState, State};
pub use status::{ProcessStatus, RegionStatus, Status};
