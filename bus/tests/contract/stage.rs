//! Where nodes meet: one process, or a NATS server.

use std::time::Duration;

use bytes::Bytes;
use rookery_bus::{Bus, BusConfig, BusKind, Health, LocalNetwork, Received, Subject, Subscription};
use tokio::time::timeout;

use crate::server::Server;

/// Longer than anything here takes on a busy machine; who waits so long fails.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Nodes of one region.
pub enum Stage {
    Local(LocalNetwork, Vec<String>),
    Nats(Box<Server>),
}

impl Stage {
    pub fn local() -> Self {
        Self::Local(LocalNetwork::new(), Vec::new())
    }

    /// `None` where NATS is left out on purpose.
    pub async fn nats() -> Option<Self> {
        Some(Self::Nats(Box::new(Server::start("").await?)))
    }

    /// A node that is connected.
    pub async fn node(&mut self, name: &str, config: BusConfig) -> Bus {
        let bus = match self {
            Self::Local(network, names) => {
                names.push(name.to_owned());
                Bus::local_with(network, name, &config)
            }
            Self::Nats(server) => {
                let config = BusConfig { kind: BusKind::Nats, urls: vec![server.url()], ..config };
                Bus::connect(&config, name).await.unwrap()
            }
        };
        becomes(&bus, Health::Connected).await;
        bus
    }

    /// Ends what carries messages, without a word.
    pub async fn cut(&mut self) {
        match self {
            Self::Local(network, names) => names.iter().for_each(|name| network.set_connected(name, false)),
            Self::Nats(server) => server.kill().await,
        }
    }

    /// Brings it back where it was.
    pub async fn heal(&mut self) {
        match self {
            Self::Local(network, names) => names.iter().for_each(|name| network.set_connected(name, true)),
            Self::Nats(server) => server.start_again().await,
        }
    }
}

/// The subject of a node.
pub fn subject(node: &str) -> Subject {
    Subject::node("test", "eu", node).unwrap()
}

/// Waits for a bus to become healthy, or not.
pub async fn becomes(bus: &Bus, health: Health) {
    let mut watch = bus.watch_health();
    timeout(LIMIT, watch.wait_for(|now| *now == health)).await.unwrap_or_else(|_| panic!("not {health:?}")).unwrap();
}

/// What comes next.
pub async fn next(subscription: &mut Subscription) -> Option<Received> {
    timeout(LIMIT, subscription.recv()).await.expect("nothing comes")
}

/// The next message that is not one of [`settle`], whatever is lost before it.
pub async fn next_message(subscription: &mut Subscription) -> Bytes {
    loop {
        match next(subscription).await.expect("the bus is open") {
            Received::Message(payload) if !payload.starts_with(b"probe ") => return payload,
            _ => {}
        }
    }
}

/// Sends until something arrives, then takes all of it: from then on messages pass.
///
/// A server knows of a subscription a little later than its subscriber.
pub async fn settle(from: &Bus, subject: &Subject, to: &mut Subscription) {
    let settled = async {
        let mut number = 0_u64;
        loop {
            number += 1;
            if from.publish(subject, probe(number)).is_ok()
                && let Ok(Some(Received::Message(_))) = timeout(Duration::from_millis(20), to.recv()).await
            {
                break;
            }
        }
        // The last probe comes behind all others.
        number += 1;
        from.publish(subject, probe(number)).unwrap();
        while next(to).await != Some(Received::Message(probe(number))) {}
    };
    timeout(LIMIT, settled).await.expect("nothing arrives");
}

fn probe(number: u64) -> Bytes {
    Bytes::from(format!("probe {number}"))
}
