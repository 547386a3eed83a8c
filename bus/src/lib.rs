//! Messages between the nodes of a deployment, each at most once.
//!
//! A [`Bus`] takes messages for a [`Subject`] and hands out those of the subjects that it is subscribed to. It promises
//! little, and the same whatever carries it: a message arrives whole, once or not at all; one publisher's messages on one
//! subject arrive in order. Nothing is stored, nothing is sent again, and nobody waits for anybody: a publisher whose
//! queue is full and a subscriber that is too slow lose messages, and are told so. Streams without gaps are made of this
//! by `rookery-relay`.
//!
//! Two engines pass the same contract tests: [`LocalNetwork`], in one process, and NATS.

mod config;
mod events;
mod local;
mod nats;
mod queue;
mod subject;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

pub use config::{BusConfig, BusKind};
pub use local::{Faults, LocalNetwork};
pub use queue::{Received, Subscription};
pub use subject::{Subject, SubjectError};

use events::Dropped;

/// What NATS servers take in one message unless they are told otherwise.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// A node's connection to the others; clones share it, and subscriptions end with the last of them.
#[derive(Clone)]
pub struct Bus {
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Local(Arc<local::Node>),
    Nats(Arc<nats::Connection>),
}

/// Whether messages pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Connected,
    /// Nothing passes for now; the engine connects again by itself.
    Disconnected,
    /// For good.
    Closed,
}

/// Why a message was not taken; each is counted in `rookery_bus_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// More waits to be sent than may.
    #[error("too many messages wait to be sent")]
    Full,
    /// There is no connection.
    #[error("the bus is not connected")]
    Disconnected,
    /// Larger than one message may be: whoever has more sends it in parts.
    #[error("a message of {size} bytes; the bus takes {limit}")]
    TooLarge { size: usize, limit: usize },
    /// The bus was drained.
    #[error("the bus is closed")]
    Closed,
}

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Every mistake of the configuration.
    #[error("the configuration of the bus: {}", .0.join("; "))]
    Config(Vec<String>),
    /// A file that the configuration names cannot be used.
    #[error("{file}: {source}")]
    File {
        file: String,
        #[source]
        source: std::io::Error,
    },
    /// The engine refused.
    #[error("cannot connect to the bus: {0}")]
    Nats(#[from] async_nats::ConnectError),
}

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The bus was drained.
    #[error("the bus is closed")]
    Closed,
    /// The engine did not take it in time.
    #[error("the bus did not take the subscription within {0} ms")]
    TimedOut(u64),
}

impl Bus {
    /// The bus that a configuration describes.
    ///
    /// `name` is the node's, for the server's list of connections. With NATS this returns at once and connects in the
    /// background, again and again: [`Bus::health`] tells when it has.
    ///
    /// # Errors
    /// The configuration is wrong, or a file that it names.
    pub async fn connect(config: &BusConfig, name: &str) -> Result<Self, ConnectError> {
        let mistakes = config.mistakes();
        if !mistakes.is_empty() {
            return Err(ConnectError::Config(mistakes));
        }
        let engine = match config.kind {
            BusKind::Local => Engine::Local(local::Node::new(&LocalNetwork::new(), name, config)),
            BusKind::Nats => Engine::Nats(nats::Connection::open(config, name).await?),
        };
        Ok(Self { engine })
    }

    /// A node of a network in this process, with the limits of the default configuration.
    pub fn local(network: &LocalNetwork, name: &str) -> Self {
        Self::local_with(network, name, &BusConfig::default())
    }

    /// As [`Bus::local`] with limits of one's own.
    pub fn local_with(network: &LocalNetwork, name: &str, config: &BusConfig) -> Self {
        Self { engine: Engine::Local(local::Node::new(network, name, config)) }
    }

    /// Hands over a message for all who are subscribed to a subject now, this node among them; never waits.
    ///
    /// That it was taken does not mean that it arrives.
    ///
    /// # Errors
    /// It was not taken.
    pub fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let limit = self.max_payload_bytes();
        let size = payload.len();
        let result = if size > limit {
            Err(PublishError::TooLarge { size, limit })
        } else {
            match &self.engine {
                Engine::Local(node) => node.publish(subject, payload),
                Engine::Nats(connection) => connection.publish(subject, payload),
            }
        };
        match result {
            Ok(()) => events::published(size),
            Err(error) => Dropped { reason: error.reason(), count: 1 }.emit(),
        }
        result
    }

    /// The messages of a subject from now on.
    ///
    /// # Errors
    /// The bus is closed, or has no room for the request.
    pub async fn subscribe(&self, subject: &Subject) -> Result<Subscription, SubscribeError> {
        match &self.engine {
            Engine::Local(node) => node.subscribe(subject),
            Engine::Nats(connection) => connection.subscribe(subject).await,
        }
    }

    /// Whether messages pass.
    pub fn health(&self) -> Health {
        *self.watch_health().borrow()
    }

    /// Follows [`Bus::health`].
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        match &self.engine {
            Engine::Local(node) => node.watch_health(),
            Engine::Nats(connection) => connection.watch_health(),
        }
    }

    /// The largest message that is taken now: what is configured, or less where the server says so.
    pub fn max_payload_bytes(&self) -> usize {
        match &self.engine {
            Engine::Local(node) => node.max_payload_bytes(),
            Engine::Nats(connection) => connection.max_payload_bytes(),
        }
    }

    /// Sends what was taken, then closes the bus and, when they are read to their end, its subscriptions.
    ///
    /// After `deadline` what is left is dropped.
    pub async fn drain(&self, deadline: Duration) {
        match &self.engine {
            Engine::Local(node) => node.close(),
            Engine::Nats(connection) => connection.drain(deadline).await,
        }
    }
}

impl PublishError {
    /// Its name in metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Full => "queue_full",
            Self::Disconnected => "disconnected",
            Self::TooLarge { .. } => "too_large",
            Self::Closed => "closed",
        }
    }
}
