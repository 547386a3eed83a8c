//! The bus in one process, and the faults that tests ask of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::BusConfig;
use crate::queue::{Queue, Subscription};
use crate::subject::Subject;
use crate::{Health, PublishError, SubscribeError};

/// What the nodes of one process share; clones are the same network.
#[derive(Clone, Default)]
pub struct LocalNetwork {
    shared: Arc<Mutex<Network>>,
}

/// What happens to messages, for tests: by default nothing.
///
/// The same seed and the same messages meet the same faults, delays aside, which take real time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub seed: u64,
    /// Of a thousand deliveries: how many do not happen.
    pub drop_permille: u32,
    /// How many happen twice.
    pub repeat_permille: u32,
    /// How many wait until the next message for the same subscriber has passed; the last of all then never comes.
    pub reorder_permille: u32,
    /// How many are late, and by how much at most.
    pub delay_permille: u32,
    pub delay_max_ms: u64,
}

/// Late messages at once; more are dropped.
const LATE_MAX: usize = 16_384;

#[derive(Default)]
struct Network {
    subjects: HashMap<Subject, Vec<Subscriber>>,
    cut: HashSet<String>,
    nodes: Vec<Weak<Node>>,
    faults: Faults,
    random: SplitMix64,
    late: Arc<()>,
}

struct Subscriber {
    queue: Weak<Queue>,
    node: Weak<Node>,
    held: Option<Bytes>,
}

/// One node's place in a network.
pub(crate) struct Node {
    network: LocalNetwork,
    name: String,
    config: BusConfig,
    health: watch::Sender<Health>,
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl LocalNetwork {
    /// A network without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets messages meet faults from now on; tests only.
    pub fn set_faults(&self, faults: Faults) {
        let mut network = self.shared.lock();
        network.random = SplitMix64(faults.seed);
        network.faults = faults;
    }

    /// Cuts a node off, or connects it again, as if its server died and came back; tests only.
    pub fn set_connected(&self, name: &str, connected: bool) {
        let nodes: Vec<_> = {
            let mut network = self.shared.lock();
            let changed = if connected { network.cut.remove(name) } else { network.cut.insert(name.to_owned()) };
            if !changed {
                return;
            }
            network.nodes.iter().filter_map(Weak::upgrade).filter(|node| node.name == name).collect()
        };
        for node in nodes {
            node.set_health(if connected { Health::Connected } else { Health::Disconnected });
        }
    }
}

impl Network {
    fn deliver(&mut self, subject: &Subject, payload: &Bytes) {
        let Some(subscribers) = self.subjects.get_mut(subject) else { return };
        subscribers.retain(|subscriber| subscriber.queue.strong_count() > 0);
        if subscribers.is_empty() {
            self.subjects.remove(subject);
            return;
        }
        for subscriber in subscribers {
            let (Some(queue), Some(node)) = (subscriber.queue.upgrade(), subscriber.node.upgrade()) else { continue };
            if self.cut.contains(&node.name) {
                continue;
            }
            let (faults, random) = (&self.faults, &mut self.random);
            if *faults == Faults::default() && subscriber.held.is_none() {
                queue.push(payload.clone());
                continue;
            }
            if random.hits(faults.drop_permille) {
                continue;
            }
            let copies = 1 + u32::from(random.hits(faults.repeat_permille));
            for _ in 0..copies {
                if faults.delay_max_ms > 0 && random.hits(faults.delay_permille) {
                    let delay_ms = 1 + random.next() % faults.delay_max_ms;
                    deliver_late(&self.late, &queue, payload.clone(), delay_ms);
                } else if subscriber.held.is_none() && random.hits(faults.reorder_permille) {
                    subscriber.held = Some(payload.clone());
                } else {
                    queue.push(payload.clone());
                    if let Some(held) = subscriber.held.take() {
                        queue.push(held);
                    }
                }
            }
        }
    }
}

fn deliver_late(late: &Arc<()>, queue: &Arc<Queue>, payload: Bytes, delay_ms: u64) {
    if Arc::strong_count(late) > LATE_MAX {
        return;
    }
    let (ticket, queue) = (Arc::clone(late), Arc::downgrade(queue));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        if let Some(queue) = queue.upgrade() {
            queue.push(payload);
        }
        drop(ticket);
    });
}

impl Node {
    pub(crate) fn new(network: &LocalNetwork, name: &str, config: &BusConfig) -> Arc<Self> {
        let mut shared = network.shared.lock();
        let health = if shared.cut.contains(name) { Health::Disconnected } else { Health::Connected };
        let node = Arc::new(Self {
            network: network.clone(),
            name: name.to_owned(),
            config: config.clone(),
            health: watch::Sender::new(health),
            queues: Mutex::default(),
        });
        shared.nodes.retain(|node| node.strong_count() > 0);
        shared.nodes.push(Arc::downgrade(&node));
        node
    }

    pub(crate) fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        match *self.health.borrow() {
            Health::Connected => {}
            Health::Disconnected => return Err(PublishError::Disconnected),
            Health::Closed => return Err(PublishError::Closed),
        }
        self.network.shared.lock().deliver(subject, &payload);
        Ok(())
    }

    pub(crate) fn subscribe(self: &Arc<Self>, subject: &Subject) -> Result<Subscription, SubscribeError> {
        let mut queues = self.queues.lock();
        // Under the lock that `close` takes: no queue is left open.
        if *self.health.borrow() == Health::Closed {
            return Err(SubscribeError::Closed);
        }
        let queue = Queue::new(&self.config);
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(&queue));
        drop(queues);
        let subscriber = Subscriber { queue: Arc::downgrade(&queue), node: Arc::downgrade(self), held: None };
        self.network.shared.lock().subjects.entry(subject.clone()).or_default().push(subscriber);
        Ok(Subscription::new(queue, None))
    }

    pub(crate) fn watch_health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(crate) fn max_payload_bytes(&self) -> usize {
        self.config.max_payload_bytes
    }

    fn set_health(&self, health: Health) {
        let mut queues = self.queues.lock();
        self.health.send_if_modified(|current| {
            let changes = *current != Health::Closed && *current != health;
            if changes {
                *current = health;
            }
            changes
        });
        queues.retain(|queue| queue.strong_count() > 0);
        for queue in queues.iter().filter_map(Weak::upgrade) {
            match health {
                Health::Disconnected => queue.interrupt(),
                Health::Closed => queue.close(),
                Health::Connected => {}
            }
        }
    }

    pub(crate) fn close(&self) {
        self.set_health(Health::Closed);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.close();
    }
}

/// Numbers for faults: small, and the same for a seed everywhere.
#[derive(Default)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn hits(&mut self, permille: u32) -> bool {
        permille > 0 && self.next() % 1_000 < u64::from(permille)
    }
}
