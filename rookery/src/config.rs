//! What the roles can be told: nested by crate, read here and nowhere else.

use std::net::SocketAddr;
use std::path::PathBuf;

use rookery_pop::PopConfig;
use rookery_region::RegionConfig;
use rookery_service::{LogFormat, Mistakes, TelemetryOptions, Validate};
use serde::Deserialize;

use crate::peers::Place;
use crate::store::StoreConfig;

/// The settings of every process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// As `RUST_LOG` has it: `info,rookery_region=debug`.
    pub filter: Option<String>,
}

impl LogConfig {
    /// What the telemetry wants to know.
    pub fn options(&self) -> TelemetryOptions {
        TelemetryOptions { log_format: self.format, log_filter: self.filter.clone() }
    }
}

/// Whether rate limits apply. Sizes always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateLimits {
    #[default]
    On,
    /// For load tests, on loopback only.
    Off,
}

impl RateLimits {
    /// What is wrong with these listeners, each given with its name: without rate limits all must be on loopback.
    pub fn public_listener(self, listeners: &[(&str, SocketAddr)]) -> Option<String> {
        let (name, address) = listeners.iter().find(|(_, address)| !address.ip().is_loopback())?;
        (self == Self::Off).then(|| {
            format!("limits=off is for load tests: every listener must be on loopback, and {name} is {address}")
        })
    }

    fn validate(self, mistakes: &mut Mistakes, listeners: &[(&str, SocketAddr)]) {
        if let Some(mistake) = self.public_listener(listeners) {
            mistakes.push("limits", &mistake, "\"on\", or loopback addresses");
        }
    }
}

/// Accounts registered in 10 minutes where only this machine can register: a test-suite makes more than people do.
const LOCAL_REGISTRATIONS_PER_10MIN: u32 = 10_000;
/// The same for attempts to sign in, in a minute.
const LOCAL_LOGINS_PER_MINUTE: u32 = 1_000;

/// `rookery dev`: everything in one process. Every limit is found under its part: `gateway.…`, `rest.…`, `pop.…`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DevConfig {
    pub limits: RateLimits,
    pub log: LogConfig,
    pub pop: PopConfig,
    /// The region's name, as logs and hints have it.
    pub name: Option<String>,
    pub gateway: rookery_region::GatewayConfig,
    pub owners: rookery_region::OwnersConfig,
    pub presence: rookery_region::PresenceConfig,
    pub streams: rookery_region::StreamsConfig,
    pub rest: rookery_region::RestLimits,
    pub degradation: rookery_region::degradation::DegradationConfig,
    pub store: StoreConfig,
    /// The voice node; where its gateway listens is told by `--voice`.
    pub voice: rookery_sfu::SfuConfig,
}

impl DevConfig {
    /// The region's part.
    pub fn region(&self) -> RegionConfig {
        let mut rest = self.rest.clone();
        if self.pop.http.ip().is_loopback() {
            rest.registrations_per_10min.get_or_insert(LOCAL_REGISTRATIONS_PER_10MIN);
            rest.logins_per_minute.get_or_insert(LOCAL_LOGINS_PER_MINUTE);
        }
        let config = RegionConfig {
            gateway: self.gateway.clone(),
            owners: self.owners.clone(),
            presence: self.presence.clone(),
            streams: self.streams.clone(),
            degradation: self.degradation.clone(),
            rest,
            ..RegionConfig::default()
        };
        named(config, self.name.as_deref(), self.limits)
    }
    /// The point of presence's part.
    pub fn pop(&self) -> PopConfig {
        pop(&self.pop, self.limits)
    }
}

impl Validate for DevConfig {
    fn validate(&self, mistakes: &mut Mistakes) {
        tell(mistakes, "pop", self.pop.problems());
        tell(mistakes, "", self.region().mistakes());
        tell(mistakes, "", self.region().mistakes_beside_store(self.store.queue_batches()));
        tell(mistakes, "voice", self.voice.mistakes());
        self.store.validate(mistakes);
    }
}

/// `rookery region`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionRoleConfig {
    pub limits: RateLimits,
    pub log: LogConfig,
    /// The embedded store, the token key and the operator's secret.
    pub data_dir: PathBuf,
    /// Where `/healthz`, `/readyz` and `/metrics` answer.
    pub operator: SocketAddr,
    pub link: LinkConfig,
    /// The region's name; with a deployment's file, as that has it.
    pub name: Option<String>,
    /// The deployment that this process is part of. Without it the region is the only one.
    pub deployment_file: Option<PathBuf>,
    /// This process's node in its region, as the deployment's file has it.
    pub node: Option<String>,
    /// Low 10 bits of this process's ids; unique over the deployment. With a deployment's file it is the node's number.
    pub worker_id: u16,
    /// How the bus is reached; its kind and servers are the deployment's, unless servers are given here.
    pub bus: rookery_bus::BusConfig,
    pub gateway: rookery_region::GatewayConfig,
    pub owners: rookery_region::OwnersConfig,
    pub presence: rookery_region::PresenceConfig,
    pub streams: rookery_region::StreamsConfig,
    pub rest: rookery_region::RestLimits,
    pub degradation: rookery_region::degradation::DegradationConfig,
    pub store: StoreConfig,
    /// Rooms over the deployment's voice nodes.
    pub voice: rookery_region::voice::VoiceRoomsConfig,
}

impl Default for RegionRoleConfig {
    fn default() -> Self {
        Self {
            limits: RateLimits::On,
            log: LogConfig::default(),
            data_dir: PathBuf::new(),
            operator: SocketAddr::from(([127, 0, 0, 1], 8_091)),
            link: LinkConfig::default(),
            name: None,
            deployment_file: None,
            node: None,
            worker_id: 0,
            bus: rookery_bus::BusConfig::default(),
            gateway: rookery_region::GatewayConfig::default(),
            owners: rookery_region::OwnersConfig::default(),
            presence: rookery_region::PresenceConfig::default(),
            streams: rookery_region::StreamsConfig::default(),
            rest: rookery_region::RestLimits::default(),
            degradation: rookery_region::degradation::DegradationConfig::default(),
            store: StoreConfig::default(),
            voice: rookery_region::voice::VoiceRoomsConfig::default(),
        }
    }
}

impl RegionRoleConfig {
    /// Where this process stands in its deployment, and what follows from that for it.
    pub fn settle(&mut self) -> Option<Place> {
        let place = self.place(&mut Mistakes::default())?;
        self.worker_id = place.worker_id();
        self.gateway.public_url.get_or_insert_with(|| place.gateway().trim_end_matches('/').to_owned());
        if let Some(url) = place.webtransport() {
            self.gateway.webtransport.public_url.get_or_insert_with(|| url.trim_end_matches('/').to_owned());
        }
        Some(place)
    }

    fn place(&self, mistakes: &mut Mistakes) -> Option<Place> {
        let file = self.deployment_file.as_deref()?;
        Place::find(file, self.name.as_deref(), self.node.as_deref(), mistakes)
    }

    /// The store; its row of leases is the worker's own.
    pub fn store(&self) -> StoreConfig {
        self.store.clone().of_worker(self.worker_id)
    }

    /// The region's part.
    pub fn region(&self) -> RegionConfig {
        let config = RegionConfig {
            worker_id: self.worker_id,
            gateway: self.gateway.clone(),
            owners: self.owners.clone(),
            presence: self.presence.clone(),
            streams: self.streams.clone(),
            rest: self.rest.clone(),
            degradation: self.degradation.clone(),
            ..RegionConfig::default()
        };
        named(config, self.name.as_deref(), self.limits)
    }
}

impl Validate for RegionRoleConfig {
    fn validate(&self, mistakes: &mut Mistakes) {
        mistakes.require(!self.data_dir.as_os_str().is_empty(), "data_dir", "is not set", "a folder");
        self.link.validate(mistakes);
        if let Some(place) = self.place(mistakes) {
            let is_same = self.worker_id == 0 || self.worker_id == place.worker_id();
            let problem = format!("is {}, and the node's number is {}", self.worker_id, place.worker_id());
            mistakes.require(is_same, "worker_id", problem, "nothing, with a deployment_file");
        }
        let bus = rookery_bus::BusConfig { urls: Vec::new(), kind: rookery_bus::BusKind::Local, ..self.bus.clone() };
        tell(mistakes, "bus", bus.mistakes());
        tell(mistakes, "", self.voice.mistakes());
        let mut listeners = vec![
            ("operator", self.operator),
            ("link.listen", self.link.listen),
            ("gateway.listen", self.gateway.listen),
        ];
        listeners.extend(self.gateway.webtransport.listen.map(|address| ("gateway.webtransport.listen", address)));
        self.limits.validate(mistakes, &listeners);
        tell(mistakes, "", self.region().mistakes());
        tell(mistakes, "", self.region().mistakes_beside_store(self.store.queue_batches()));
        self.store.validate(mistakes);
    }
}

/// A region's end of the link to its points of presence.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    pub listen: SocketAddr,
    /// The deployment's CA.
    pub ca_file: PathBuf,
    /// What this process shows, issued by `rookery ca issue`.
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8_082)),
            ca_file: PathBuf::new(),
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
        }
    }
}

impl LinkConfig {
    fn validate(&self, mistakes: &mut Mistakes) {
        identity_files(mistakes, "link", &self.ca_file, &self.certificate_file, &self.key_file);
    }
}

/// `rookery pop`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PopRoleConfig {
    pub limits: RateLimits,
    pub log: LogConfig,
    /// Where `/healthz`, `/readyz` and `/metrics` answer.
    pub operator: SocketAddr,
    /// The public token keys of the deployment, `token.pub` of a region's data folder.
    pub token_keys_file: PathBuf,
    pub uplink: UplinkConfig,
    pub pop: PopConfig,
}

impl Default for PopRoleConfig {
    fn default() -> Self {
        Self {
            limits: RateLimits::On,
            log: LogConfig::default(),
            operator: SocketAddr::from(([127, 0, 0, 1], 8_090)),
            token_keys_file: PathBuf::new(),
            uplink: UplinkConfig::default(),
            pop: PopConfig::default(),
        }
    }
}

impl PopRoleConfig {
    /// The point of presence's part.
    pub fn pop(&self) -> PopConfig {
        pop(&self.pop, self.limits)
    }
}

impl Validate for PopRoleConfig {
    fn validate(&self, mistakes: &mut Mistakes) {
        let keys = self.token_keys_file.as_os_str();
        mistakes.require(!keys.is_empty(), "token_keys_file", "is not set", "token.pub of a region's data folder");
        let uplink = &self.uplink;
        identity_files(mistakes, "uplink", &uplink.ca_file, &uplink.certificate_file, &uplink.key_file);
        mistakes.require(!uplink.regions.is_empty(), "uplink.regions", "names no region", "[\"host:port\", …]");
        let mut listeners = vec![("operator", self.operator), ("pop.http", self.pop.http)];
        listeners.extend(self.pop.https.map(|address| ("pop.https", address)));
        self.limits.validate(mistakes, &listeners);
        tell(mistakes, "pop", self.pop.problems());
    }
}

/// A point of presence's end of the link.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UplinkConfig {
    /// Regions, the nearest first: `host:port`.
    pub regions: Vec<String>,
    pub ca_file: PathBuf,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// `rookery sfu`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SfuRoleConfig {
    pub log: LogConfig,
    /// Where `/healthz`, `/readyz` and `/metrics` answer.
    pub operator: SocketAddr,
    /// The region whose guilds have their rooms here.
    pub region: String,
    /// This node's name, which no other voice node of the region has.
    pub node: String,
    /// What the voice gateway shows its clients, for the host of `voice.endpoint`.
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// How the region's nodes are reached; its `deployment` is the deployment's name.
    pub bus: rookery_bus::BusConfig,
    pub voice: rookery_sfu::SfuConfig,
}

impl Default for SfuRoleConfig {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            operator: SocketAddr::from(([127, 0, 0, 1], 8_092)),
            region: String::new(),
            node: String::new(),
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            bus: rookery_bus::BusConfig { kind: rookery_bus::BusKind::Nats, ..rookery_bus::BusConfig::default() },
            voice: rookery_sfu::SfuConfig::default(),
        }
    }
}

impl Validate for SfuRoleConfig {
    fn validate(&self, mistakes: &mut Mistakes) {
        let is_name = |name: &str| rookery_bus::Subject::region("d", name).is_ok();
        for (key, name) in [("region", &self.region), ("node", &self.node)] {
            let problem = format!("is {name:?}");
            mistakes.require(is_name(name), key, problem, "1 to 64 characters of A-Z, a-z, 0-9, - and _");
        }
        for (key, file) in [("certificate_file", &self.certificate_file), ("key_file", &self.key_file)] {
            mistakes.require(!file.as_os_str().is_empty(), key, "is not set", "a PEM file");
        }
        tell(mistakes, "bus", self.bus.mistakes());
        tell(mistakes, "voice", self.voice.mistakes());
    }
}

fn identity_files(
    mistakes: &mut Mistakes,
    part: &str,
    ca: &std::path::Path,
    certificate: &std::path::Path,
    key: &std::path::Path,
) {
    for (name, path) in [("ca_file", ca), ("certificate_file", certificate), ("key_file", key)] {
        let key = format!("{part}.{name}");
        mistakes.require(!path.as_os_str().is_empty(), &key, "is not set", "a file made by `rookery ca issue`");
    }
}

/// Mistakes as the parts tell them: `key: what is expected`, or a sentence that begins with the key.
fn tell(mistakes: &mut Mistakes, part: &str, problems: Vec<String>) {
    for problem in problems {
        let end = problem.find([':', ' ']).unwrap_or(problem.len());
        let (key, rest) = problem.split_at(end);
        let key = if part.is_empty() { key.to_owned() } else { format!("{part}.{key}") };
        match rest.strip_prefix(':') {
            Some(expected) => mistakes.push(&key, "is out of range", expected.trim()),
            None => mistakes.push(&key, rest.trim(), ""),
        }
    }
}

/// A region's settings under its name, without rate limits where they are off.
fn named(mut config: RegionConfig, name: Option<&str>, limits: RateLimits) -> RegionConfig {
    if let Some(name) = name {
        config.name = name.to_owned();
    }
    if limits == RateLimits::Off {
        config.lift_rate_limits();
    }
    config
}

fn pop(config: &PopConfig, limits: RateLimits) -> PopConfig {
    let mut config = config.clone();
    if limits == RateLimits::Off {
        config.lift_rate_limits();
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev(http: &str, registrations: Option<u32>) -> (Option<u32>, Option<u32>) {
        let mut config = DevConfig::default();
        config.pop.http = http.parse().unwrap();
        config.rest.registrations_per_10min = registrations;
        let rest = config.region().rest;
        (rest.registrations_per_10min, rest.logins_per_minute)
    }

    #[test]
    fn presence_is_told_by_its_own_names() {
        let sets = ["presence.batch_ms=250".to_owned(), "presence.everyone_max_members=10".to_owned()];
        // Not out of the environment, which is that of the tests.
        let read = |sets: &[String]| rookery_service::config::load_from::<DevConfig>(None, [], sets);
        let config = read(&sets).unwrap();
        let presence = config.region().presence;
        assert_eq!((presence.batch_ms, presence.everyone_max_members), (250, 10));
        let unknown = read(&["presence.batches=1".to_owned()]);
        assert!(unknown.unwrap_err().to_string().contains("presence"));
    }

    #[test]
    fn a_test_suite_on_loopback_signs_up_and_in_more_than_people_do() {
        assert_eq!(dev("127.0.0.1:0", None), (Some(LOCAL_REGISTRATIONS_PER_10MIN), Some(LOCAL_LOGINS_PER_MINUTE)));
        assert_eq!(dev("127.0.0.1:0", Some(3)).0, Some(3));
        assert_eq!(dev("0.0.0.0:0", None), (None, None));
    }
}
