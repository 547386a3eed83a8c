//! Configuration of the engines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::CoalesceConfig;

/// Where the embedded engine keeps its data, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// Folder of the store; made if it does not exist.
    pub path: PathBuf,
    /// Block cache, bytes.
    #[serde(default = "defaults::cache_bytes")]
    pub cache_bytes: u64,
    /// Batches that may wait; beyond, `submit` answers `Busy`.
    #[serde(default = "defaults::queue_batches")]
    pub queue_batches: usize,
    /// Bytes of rows made durable together at most (a single larger batch still goes through).
    #[serde(default = "defaults::group_max_bytes")]
    pub group_max_bytes: usize,
    /// How long an operation's outcome is kept, milliseconds.
    #[serde(default = "defaults::operation_retention_ms")]
    pub operation_retention_ms: u64,
    /// Free space that must be writable before a store that ran out of disk takes writes again, bytes.
    #[serde(default = "defaults::recovery_free_bytes")]
    pub recovery_free_bytes: u64,
    /// How reads are shared.
    #[serde(default)]
    pub coalesce: CoalesceConfig,
    /// Whether messages are removed that are older than their guild keeps them; not while a store is copied.
    #[serde(default = "defaults::message_retention")]
    pub message_retention: bool,
    /// Opens a store although its list of removals is damaged: what is read may show what was deleted. For whoever
    /// saves what is left of it, and names the damage.
    #[serde(skip)]
    pub salvage: bool,
}

impl EmbeddedConfig {
    /// Batches that may wait, unless configured otherwise.
    pub const QUEUE_BATCHES: usize = 16_384;

    /// The defaults, at a folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: defaults::cache_bytes(),
            queue_batches: defaults::queue_batches(),
            group_max_bytes: defaults::group_max_bytes(),
            operation_retention_ms: defaults::operation_retention_ms(),
            recovery_free_bytes: defaults::recovery_free_bytes(),
            coalesce: CoalesceConfig::default(),
            message_retention: defaults::message_retention(),
            salvage: false,
        }
    }
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A majority of the local data centre's replicas: any node, not the loss of the region itself.
    #[default]
    Regional,
    /// A majority of all replicas over three data centres or more: the loss of any one of them.
    Global,
}

/// Which cluster the CQL engine uses (ScyllaDB or Cassandra), and how.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CqlConfig {
    /// Nodes to begin with, `host` or `host:port`; the others are learnt from them.
    pub contact_points: Vec<String>,
    /// The data centre that is asked and that `regional` durability means; empty takes that of the first contact point.
    #[serde(default)]
    pub local_data_centre: String,
    /// The keyspace of everything but leases.
    #[serde(default = "defaults::keyspace")]
    pub keyspace: String,
    /// The keyspace of leases; empty is the keyspace's name with `_leases`.
    #[serde(default)]
    pub lease_keyspace: String,
    /// What an acknowledged write survives.
    #[serde(default)]
    pub durability: Durability,
    /// Replicas by data centre, for creating the keyspaces; empty is three in each (fewer where there are fewer nodes).
    #[serde(default)]
    pub replication: BTreeMap<String, u32>,
    /// Which row of leases is this process's.
    #[serde(default)]
    pub node_id: u64,
    /// What this process calls itself to others who want its node id. One that starts under the same name has its lease at
    /// once, so it must be certain that the former is gone; another waits until the lease ends.
    #[serde(skip, default = "defaults::holder")]
    pub holder: String,
    /// User, where the cluster asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<String>,
    /// Batches that may wait; beyond, `submit` answers `Busy`.
    #[serde(default = "defaults::queue_batches")]
    pub queue_batches: usize,
    /// Statements under way at a time.
    #[serde(default = "defaults::statements_in_flight")]
    pub statements_in_flight: usize,
    /// How long to wait for a connection, milliseconds.
    #[serde(default = "defaults::connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// The deadline of a read with all its attempts, milliseconds.
    #[serde(default = "defaults::read_timeout_ms")]
    pub read_timeout_ms: u64,
    /// When a second node is asked for the same rows at the earliest, milliseconds: it is, for at most a tenth of the
    /// reads, when a read takes this long and three times the usual.
    #[serde(default = "defaults::speculative_after_ms")]
    pub speculative_after_ms: u64,
    /// The deadline of one attempt of a write, milliseconds.
    #[serde(default = "defaults::write_attempt_timeout_ms")]
    pub write_attempt_timeout_ms: u64,
    /// How long a write is tried before its outcome counts as unknown, milliseconds.
    #[serde(default = "defaults::write_timeout_ms")]
    pub write_timeout_ms: u64,
    /// How long what was deleted or erased is hidden before its removal begins, milliseconds: longer than another
    /// process may take to hear of it (5 s) and to end a write (`write_timeout_ms`), or what it writes then may stay.
    #[serde(default = "defaults::removal_grace_ms")]
    pub removal_grace_ms: u64,
    /// The deadline of one attempt of a compare-and-set, milliseconds.
    #[serde(default = "defaults::compare_and_set_timeout_ms")]
    pub compare_and_set_timeout_ms: u64,
    /// The deadline of one change of the schema, milliseconds.
    #[serde(default = "defaults::schema_timeout_ms")]
    pub schema_timeout_ms: u64,
    /// How long an operation's outcome is kept, milliseconds.
    #[serde(default = "defaults::operation_retention_ms")]
    pub operation_retention_ms: u64,
    /// How long reads agree with a majority of all replicas after this process took over what processes of another data centre
    /// wrote, milliseconds: longer than the database takes to bring it here by its hints. For `regional`; `global` always does.
    #[serde(default = "defaults::catch_up_ms")]
    pub catch_up_ms: u64,
    /// Whether messages are removed that are older than their guild keeps them; not while a store is copied.
    #[serde(default = "defaults::message_retention")]
    pub message_retention: bool,
    /// How reads are shared.
    #[serde(default)]
    pub coalesce: CoalesceConfig,
}

impl CqlConfig {
    /// The defaults, with nodes to begin with.
    pub fn new(contact_points: Vec<String>) -> Self {
        Self {
            contact_points,
            local_data_centre: String::new(),
            keyspace: defaults::keyspace(),
            lease_keyspace: String::new(),
            durability: Durability::default(),
            replication: BTreeMap::new(),
            node_id: 0,
            holder: defaults::holder(),
            user: None,
            password: None,
            queue_batches: defaults::queue_batches(),
            statements_in_flight: defaults::statements_in_flight(),
            connect_timeout_ms: defaults::connect_timeout_ms(),
            read_timeout_ms: defaults::read_timeout_ms(),
            speculative_after_ms: defaults::speculative_after_ms(),
            write_attempt_timeout_ms: defaults::write_attempt_timeout_ms(),
            write_timeout_ms: defaults::write_timeout_ms(),
            removal_grace_ms: defaults::removal_grace_ms(),
            compare_and_set_timeout_ms: defaults::compare_and_set_timeout_ms(),
            schema_timeout_ms: defaults::schema_timeout_ms(),
            operation_retention_ms: defaults::operation_retention_ms(),
            catch_up_ms: defaults::catch_up_ms(),
            message_retention: defaults::message_retention(),
            coalesce: CoalesceConfig::default(),
        }
    }

    /// The keyspace of leases.
    pub fn lease_keyspace(&self) -> String {
        match self.lease_keyspace.as_str() {
            "" => format!("{}_leases", self.keyspace),
            name => name.to_owned(),
        }
    }

    /// What is wrong with it, as `(key, problem)`; empty when nothing is.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        if self.contact_points.is_empty() || self.contact_points.iter().any(|point| point.trim().is_empty()) {
            mistakes.push(("contact_points", "names no node: give at least one `host:port`".into()));
        }
        for (key, name) in [("keyspace", self.keyspace.clone()), ("lease_keyspace", self.lease_keyspace())] {
            if !is_name(&name) {
                mistakes.push((key, format!("{name:?} is not a name of a to z, 0 to 9 and _, at most 48 characters")));
            }
        }
        if self.keyspace == self.lease_keyspace() {
            mistakes.push(("lease_keyspace", "must not be the keyspace itself".into()));
        }
        for (data_centre, replicas) in &self.replication {
            if *replicas == 0 || !is_data_centre(data_centre) {
                mistakes
                    .push(("replication", format!("{data_centre:?} = {replicas} names no data centre with replicas")));
            }
        }
        if self.durability == Durability::Global && !self.replication.is_empty() {
            let replicas = self.replication.iter().map(|(name, replicas)| (name, *replicas as usize));
            mistakes.extend(cannot_lose_one(replicas).map(|problem| ("durability", problem)));
        }
        if self.user.is_some() != self.password.is_some() {
            mistakes.push(("user", "user and password are given together or not at all".into()));
        }
        let bounds = [
            ("queue_batches", self.queue_batches as u64),
            ("statements_in_flight", self.statements_in_flight as u64),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("read_timeout_ms", self.read_timeout_ms),
            ("speculative_after_ms", self.speculative_after_ms),
            ("write_attempt_timeout_ms", self.write_attempt_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("compare_and_set_timeout_ms", self.compare_and_set_timeout_ms),
            ("schema_timeout_ms", self.schema_timeout_ms),
            ("operation_retention_ms", self.operation_retention_ms),
        ];
        mistakes.extend(bounds.iter().filter(|(_, value)| *value == 0).map(|(key, _)| (*key, "must not be 0".into())));
        mistakes
    }
}

/// Why these replicas, by data centre, cannot promise what `global` promises; none where they can.
///
/// A majority of all must be left when the largest data centre is lost; then no majority ever lay inside one.
pub(crate) fn cannot_lose_one<'a>(replicas: impl IntoIterator<Item = (&'a String, usize)>) -> Option<String> {
    let replicas: Vec<_> = replicas.into_iter().filter(|(_, replicas)| *replicas > 0).collect();
    let all: usize = replicas.iter().map(|(_, replicas)| replicas).sum();
    let largest = replicas.iter().map(|(_, replicas)| *replicas).max().unwrap_or(0);
    if replicas.len() >= 3 && all - largest > all / 2 {
        return None;
    }
    let listed: Vec<_> = replicas.iter().map(|(name, replicas)| format!("{name}: {replicas}")).collect();
    Some(format!(
        "global needs replicas in three data centres or more, spread so that the loss of any one leaves a majority; here \
         are {}: use regional, or replicate to others (one may be a witness with a single replica)",
        listed.join(", ")
    ))
}

/// Whether a keyspace can have this name without quotes.
fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    letters && (1..=48).contains(&name.len()) && name.as_bytes()[0].is_ascii_lowercase()
}

/// Whether a data centre's name can stand in a statement.
fn is_data_centre(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte))
}

impl fmt::Debug for CqlConfig {
    /// Everything but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqlConfig")
            .field("contact_points", &self.contact_points)
            .field("local_data_centre", &self.local_data_centre)
            .field("keyspace", &self.keyspace)
            .field("durability", &self.durability)
            .field("replication", &self.replication)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

mod defaults {
    /// Nobody else's.
    pub fn holder() -> String {
        format!("{}-{:032x}", std::process::id(), rand::random::<u128>())
    }
    pub const fn cache_bytes() -> u64 {
        64 * 1024 * 1024
    }
    pub const fn queue_batches() -> usize {
        super::EmbeddedConfig::QUEUE_BATCHES
    }
    pub const fn group_max_bytes() -> usize {
        4 * 1024 * 1024
    }
    pub const fn operation_retention_ms() -> u64 {
        15 * 60 * 1000
    }
    pub const fn catch_up_ms() -> u64 {
        15 * 60 * 1000
    }
    pub const fn recovery_free_bytes() -> u64 {
        8 * 1024 * 1024
    }
    pub const fn message_retention() -> bool {
        true
    }
    pub fn keyspace() -> String {
        "rookery".into()
    }
    pub const fn statements_in_flight() -> usize {
        1_024
    }
    pub const fn connect_timeout_ms() -> u64 {
        3_000
    }
    pub const fn read_timeout_ms() -> u64 {
        3_000
    }
    pub const fn speculative_after_ms() -> u64 {
        50
    }
    pub const fn write_attempt_timeout_ms() -> u64 {
        2_500
    }
    pub const fn write_timeout_ms() -> u64 {
        10_000
    }
    pub const fn removal_grace_ms() -> u64 {
        30_000
    }
    pub const fn compare_and_set_timeout_ms() -> u64 {
        5_000
    }
    pub const fn schema_timeout_ms() -> u64 {
        60_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_without_mistakes_and_every_mistake_is_named() {
        assert_eq!(CqlConfig::new(vec!["127.0.0.1".into()]).mistakes(), []);
        let mut config = CqlConfig::new(Vec::new());
        config.keyspace = "Rookery; drop".into();
        config.durability = Durability::Global;
        config.replication = BTreeMap::from([("one".into(), 3), ("two'".into(), 3)]);
        config.user = Some("u".into());
        config.read_timeout_ms = 0;
        let keys: Vec<_> = config.mistakes().iter().map(|(key, _)| *key).collect();
        let expected =
            ["contact_points", "keyspace", "lease_keyspace", "replication", "durability", "user", "read_timeout_ms"];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_password_is_never_shown() {
        let mut config = CqlConfig::new(vec!["127.0.0.1".into()]);
        config.password = Some("hunter2".into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
