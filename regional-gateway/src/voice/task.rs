//! The task of voice: it drives the core of voice rooms with the bus and the clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, SelectAll};
use rookery_bus::{Bus, Received, Subject, SubjectError, SubscribeError, Subscription};
use rookery_model::voice::{FromVoiceNode, LinkKey, RoomCommand, ToVoiceNode, VoiceBeacon, VoiceRegion, VoiceToken};
use rookery_voice_rooms::{Config, Notice, Output, Tokens, VoiceRooms};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{VoiceNews, VoiceRoomsConfig};
use crate::id_generator::now_ms;
use crate::owners::{Register, VoiceServer};
use crate::region::Region;

/// How often voice nodes hear that this node is still there.
const STILL_THERE: Duration = Duration::from_secs(1);
/// Revisions that one millisecond leaves room for: those of a later process are above all of an earlier one.
const REVISIONS_PER_MS: u64 = 1 << 10;

/// What voice is made with.
pub struct VoiceInit {
    deployment: Box<str>,
    /// Those of the deployment, this node's own first.
    regions: Vec<Arc<str>>,
    node: Box<str>,
    bus: Bus,
    heard: SelectAll<BoxStream<'static, Heard>>,
    config: Config,
}

/// What comes of a region's voice nodes.
struct Heard {
    region: Arc<str>,
    kind: Kind,
    received: Received,
}

#[derive(Clone, Copy)]
enum Kind {
    Beacon,
    Event,
}

fn hear(region: Arc<str>, kind: Kind, subscription: Subscription) -> BoxStream<'static, Heard> {
    let next = move |mut subscription: Subscription| {
        let region = Arc::clone(&region);
        async move {
            let received = subscription.recv().await?;
            Some((Heard { region, kind, received }, subscription))
        }
    };
    stream::unfold(subscription, next).boxed()
}

/// Why there is no voice.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    #[error(transparent)]
    Name(#[from] SubjectError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

impl VoiceInit {
    /// Listens to the voice nodes of a deployment as a node of the first of its regions; channels may want their rooms in
    /// another one.
    ///
    /// # Errors
    /// A name does not fit, or the bus does not take a subscription.
    pub async fn open(bus: Bus, deployment: &str, regions: &[&str], node: &str) -> Result<Self, VoiceError> {
        let regions: Vec<Arc<str>> = regions.iter().map(|region| Arc::from(*region)).collect();
        let mut heard = SelectAll::new();
        for region in &regions {
            let beacons = bus.subscribe(&Subject::voice_beacons(deployment, region)?).await?;
            heard.push(hear(Arc::clone(region), Kind::Beacon, beacons));
            let events = bus.subscribe(&Subject::voice_controller(deployment, region, node)?).await?;
            heard.push(hear(Arc::clone(region), Kind::Event, events));
        }
        let config = Config::default();
        Ok(Self { deployment: deployment.into(), regions, node: node.into(), bus, heard, config })
    }

    /// Gives voice nodes up after another time: one in this process ends with it, and is silent only when that has no time.
    #[must_use]
    pub fn silent_after(mut self, silent_after: Duration) -> Self {
        self.config.silent_after_ms = u64::try_from(silent_after.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Lays rooms out as configured.
    #[must_use]
    pub fn laid_out(mut self, config: VoiceRoomsConfig) -> Self {
        self.config.cascade_members = config.cascade_members;
        self
    }

    /// The regions, as the API lists them.
    pub fn regions(&self) -> Vec<VoiceRegion> {
        self.regions.iter().zip(0..).map(|(region, place)| VoiceRegion::new(&**region, place == 0)).collect()
    }

    /// The name of a voice node that no other one of the deployment has.
    fn full_name(&self, region: &Arc<str>, node: &str) -> Box<str> {
        let is_home = self.regions.first() == Some(region);
        if is_home { node.into() } else { format!("{region}/{node}").into() }
    }
}

struct Random;

impl Tokens for Random {
    fn next_token(&mut self) -> VoiceToken {
        VoiceToken::new(format!("{:032x}", rand::random::<u128>()))
    }
    fn next_link_id(&mut self) -> u64 {
        rand::random()
    }
    fn next_link_key(&mut self) -> LinkKey {
        LinkKey(rand::random())
    }
}

/// The task.
pub struct VoiceTask {
    init: VoiceInit,
    core: VoiceRooms,
    news: Arc<Register<VoiceNews>>,
    region: Arc<Region>,
    /// The start of each voice node that was heard of, and its subject.
    nodes: HashMap<Box<str>, (u64, Subject)>,
    stop: CancellationToken,
}

impl VoiceTask {
    /// Runs until `stop`, which is for after the owners' end.
    pub fn new(init: VoiceInit, news: Arc<Register<VoiceNews>>, region: Arc<Region>, stop: CancellationToken) -> Self {
        let revision = now_ms().saturating_mul(REVISIONS_PER_MS);
        let home = init.regions.first().cloned().unwrap_or_default();
        let core = VoiceRooms::new(init.config, home, revision);
        Self { init, core, news, region, nodes: HashMap::new(), stop }
    }

    /// Runs.
    pub async fn run(mut self) {
        let mut still_there = tokio::time::interval(STILL_THERE);
        let stop = self.stop.clone();
        loop {
            let now = self.region.clock.now_ms();
            let due = self.core.poll_timeout().map(|due_ms| Duration::from_millis(due_ms.saturating_sub(now)));
            let due = due.map(|pause| Instant::now() + pause);
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.news.changed() => self.take_news(),
                () = timer => {
                    let now = self.region.clock.now_ms();
                    self.core.handle_timeout(now, &mut Random);
                }
                Some(Heard { region, kind, received }) = self.init.heard.next() => match kind {
                    Kind::Beacon => self.heard_beacon(&region, received),
                    Kind::Event => self.heard_event(&region, received),
                },
                _ = still_there.tick() => self.say_still_there(),
                () = stop.cancelled() => {
                    // Owners put everybody out when they ended.
                    self.take_news();
                    self.carry_out();
                    return;
                }
            }
            self.carry_out();
        }
    }

    fn take_news(&mut self) {
        let now = self.region.clock.now_ms();
        let VoiceNews { wishes } = self.news.take_all();
        for ((server_id, user_id), wish) in wishes {
            match wish {
                Some(mut entry) => {
                    let peers = &self.region.owners.shared().peers;
                    let home = || self.init.regions.first().map(|region| &**region);
                    entry.session_region = peers.region_of(entry.subscriber).or_else(home).map(Into::into);
                    self.core.handle_entry(now, entry, &mut Random);
                }
                None => self.core.handle_leave(now, server_id, user_id),
            }
        }
    }

    fn heard_beacon(&mut self, region: &Arc<str>, received: Received) {
        let Some(mut beacon) = read::<VoiceBeacon>(received) else { return };
        let subject = Subject::voice_node(&self.init.deployment, region, &beacon.node);
        let Ok(subject) = subject else {
            metrics::counter!("rookery_voice_messages_unreadable_total").increment(1);
            return;
        };
        beacon.node = self.init.full_name(region, &beacon.node);
        let known = self.nodes.insert(beacon.node.clone(), (beacon.boot, subject));
        if known.is_none_or(|(boot, _)| boot != beacon.boot) {
            tracing::info!(voice_node = &*beacon.node, endpoint = &*beacon.endpoint, "a voice node is there");
        }
        self.core.handle_beacon(self.region.clock.now_ms(), region, &beacon, &mut Random);
    }

    fn heard_event(&mut self, region: &Arc<str>, received: Received) {
        let Some(FromVoiceNode { node, boot, event }) = read(received) else { return };
        let node = self.init.full_name(region, &node);
        // What a process said before it ended is not the next one's.
        if self.nodes.get(&node).is_some_and(|(known, _)| *known == boot) {
            self.core.handle_event(&node, event);
        }
    }

    fn say_still_there(&mut self) {
        for (boot, subject) in self.nodes.values() {
            self.tell(*boot, subject, None);
        }
        let (members, servers) = self.core.count();
        metrics::gauge!("rookery_voice_members_wanted").set(members as f64);
        metrics::gauge!("rookery_voice_servers").set(servers as f64);
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Command { node, boot, command } => {
                    if let Some((_, subject)) = self.nodes.get(&*node) {
                        self.tell(boot, subject, Some(command));
                    }
                }
                Output::Notice { owner, server_id, notice } => {
                    self.region.owners.shared().registers.tell_owner(owner.into(), |news| match notice {
                        Notice::Server { user_id, session_id, token, endpoint, .. } => {
                            drop(
                                news.voice_servers
                                    .insert((server_id, user_id), VoiceServer { session_id, token, endpoint }),
                            );
                        }
                        Notice::Gone { user_id, session_id } => {
                            drop(news.voice_gone.insert((server_id, user_id), session_id))
                        }
                    })
                }
            }
        }
    }

    /// What is lost on the way is said again.
    fn tell(&self, boot: u64, subject: &Subject, command: Option<RoomCommand>) {
        let message = ToVoiceNode { controller: self.init.node.clone(), boot, command };
        let mut bytes = Vec::new();
        if let Err(error) = ciborium::into_writer(&message, &mut bytes) {
            tracing::error!(%error, "a message to a voice node cannot be written");
            return;
        }
        if let Err(error) = self.init.bus.publish(subject, Bytes::from(bytes)) {
            tracing::debug!(%error, "a voice node is not told");
        }
    }
}

fn read<T: DeserializeOwned>(received: Received) -> Option<T> {
    let Received::Message(bytes) = received else { return None };
    match ciborium::from_reader(&*bytes) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::debug!(%error, "a message about voice is passed over");
            metrics::counter!("rookery_voice_messages_unreadable_total").increment(1);
            None
        }
    }
}
