//! A real Apache Cassandra cluster on loopback addresses, or in network namespaces: any number of data centres,
//! started, ended and watched.
//!
//! `cargo xtask cql` is the command line of this crate. Acceptance tests use it to end nodes and data centres under
//! load: [`TemporaryCluster`] brings one up in a folder of its own and takes it down when dropped. All calls block
//! until what they ask for is true; an asynchronous test makes them on a blocking thread.
//!
//! What the nodes run with stands in `infra/cassandra`.

mod archive;
mod cluster;
mod gossip;
mod node;
mod process;
mod runtime;
mod standalone;
mod subnet;
mod template;
mod temporary;
mod topology;
mod waiting;

pub use cluster::{Cluster, Lifetime, Starts, Up};
pub use gossip::RingEntry;
pub use node::State;
pub use process::Running;
pub use runtime::{Runtime, SKIP_VARIABLE};
pub use standalone::{Place, standalone};
pub use subnet::Subnet;
pub use temporary::TemporaryCluster;
pub use topology::{CQL_PORT, DataCentre, Node, Topology};
