//! One node on this machine: its folder, its settings, its process.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cluster::{Lifetime, Starts};
use crate::process::Running;
use crate::runtime::{Archive, Runtime, joined};
use crate::template::render;
use crate::topology::{CQL_PORT, JMX_PORT, Node, STORAGE_PORT};
use crate::waiting::{Deadline, KILL_LIMIT, PACE, START_LIMIT, STOP_LIMIT};

const SETTINGS: &str = include_str!("../../../infra/cassandra/cassandra.yaml");
/// Becomes the program behind it, and has the kernel end that when the thread that started it ends.
const DIE_WITH_STARTER: &[&str] = &["setpriv", "--pdeathsig", "KILL"];
/// How much of a log an error shows.
const LOG_LINES_SHOWN: usize = 12;

/// Whether a node's process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is, under this id. What others believe of it is another question.
    Running { pid: u32 },
    /// It is not: never started, stopped, or dead.
    Stopped,
}

impl State {
    /// Whether the process is there.
    pub fn is_running(self) -> bool {
        self.pid().is_some()
    }

    /// The id of the process.
    pub fn pid(self) -> Option<u32> {
        match self {
            Self::Running { pid } => Some(pid),
            Self::Stopped => None,
        }
    }
}

/// What a node has to know of its cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership<'a> {
    pub(crate) cluster_name: &'a str,
    pub(crate) seeds: &'a [Ipv4Addr],
}

/// A node and where it keeps its things.
#[derive(Debug, Clone)]
pub(crate) struct LocalNode {
    pub(crate) node: Node,
    folder: PathBuf,
}

impl LocalNode {
    pub(crate) fn new(cluster_folder: &Path, node: Node) -> Self {
        Self { folder: cluster_folder.join(&node.name), node }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn running(&self) -> Result<Option<Running>> {
        Running::find(&self.folder.join("pid"), &self.folder)
    }

    pub(crate) fn state(&self) -> Result<State> {
        Ok(self.running()?.map_or(State::Stopped, |running| State::Running { pid: running.pid() }))
    }

    /// Starts the process; it answers nothing yet.
    pub(crate) fn start(
        &self,
        membership: Membership<'_>,
        runtime: &Runtime,
        lifetime: Lifetime,
        starts: Starts,
        archive: Archive<'_>,
    ) -> Result<Running> {
        self.write_settings(membership)?;
        self.put_log_aside()?;
        let mut command = self.command(runtime, lifetime, starts, archive)?;
        let child = command.spawn().with_context(|| {
            format!("{} could not be started by `{}`", self.node.name, command.get_program().display())
        })?;
        fs::write(self.folder.join("pid"), format!("{}\n", child.id())).context("the pid file could not be written")?;
        Running::child(&child)?.with_context(|| format!("{} ended at once; {}", self.node.name, self.last_words()))
    }

    pub(crate) fn command(
        &self,
        runtime: &Runtime,
        lifetime: Lifetime,
        starts: Starts,
        archive: Archive<'_>,
    ) -> Result<Command> {
        use std::os::unix::process::CommandExt as _;
        let namespace = self.node.network_namespace.as_ref().map(|name| format!("--net=/run/netns/{name}"));
        let mut wrapper: Vec<&str> = match lifetime {
            Lifetime::Detached => Vec::new(),
            Lifetime::OfStartingThread => DIE_WITH_STARTER.to_vec(),
        };
        // Becomes what stands behind it, too.
        wrapper.extend(namespace.iter().flat_map(|namespace| ["nsenter", namespace.as_str()]));
        let mut command = runtime.node(&wrapper, archive);
        let conf = self.folder.join("conf");
        // By this argument the process is recognised later.
        command.arg(joined("-Drookery.node=", &self.folder));
        command.arg(format!("-Dcassandra.config={}", file_url(&conf.join("cassandra.yaml"))));
        command.arg(format!("-Dcassandra-rackdc.properties={}", file_url(&conf.join("cassandra-rackdc.properties"))));
        command.arg(joined("-Dcassandra.storagedir=", &self.folder));
        command.arg(joined("-Dcassandra.logdir=", self.log_folder()));
        if starts == Starts::Once {
            command.arg("-Dcassandra.test.flush_local_schema_changes=false");
        }
        // Java's own JMX server can be bound to the node's address; Cassandra's listens on 127.0.0.1 for all nodes.
        let address = self.node.address;
        command.args([
            format!("-Dcom.sun.management.jmxremote.host={address}"),
            format!("-Dcom.sun.management.jmxremote.port={JMX_PORT}"),
            format!("-Dcom.sun.management.jmxremote.rmi.port={JMX_PORT}"),
            "-Dcom.sun.management.jmxremote.authenticate=false".into(),
            "-Dcom.sun.management.jmxremote.ssl=false".into(),
            format!("-Djava.rmi.server.hostname={address}"),
        ]);
        runtime.run_class(&mut command, "org.apache.cassandra.service.CassandraDaemon");
        let output = File::create(self.log_folder().join("output.log")).context("the log could not be made")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(&self.folder);
        // The terminal's Ctrl-C is for the program in front.
        command.process_group(0);
        Ok(command)
    }

    pub(crate) fn write_settings(&self, membership: Membership<'_>) -> Result<()> {
        let conf = self.folder.join("conf");
        for folder in [&conf, &self.log_folder()] {
            fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
        }
        let settings = settings(&self.node, &self.folder, membership)?;
        fs::write(conf.join("cassandra.yaml"), settings).context("the settings could not be written")?;
        let place = format!("dc={}\nrack={}\n", self.node.dc, self.node.rack);
        fs::write(conf.join("cassandra-rackdc.properties"), place).context("the settings could not be written")
    }

    /// Each run of a node has a log of its own; the one before is kept.
    fn put_log_aside(&self) -> Result<()> {
        match fs::rename(self.log_file(), self.log_folder().join("system.previous.log")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("the log cannot be renamed"),
            _ => Ok(()),
        }
    }

    /// Waits until the node answers CQL; fails when its process ends instead.
    pub(crate) fn wait_for_cql(&self, running: &Running, deadline: Deadline) -> Result<()> {
        let address = SocketAddr::V4(self.node.cql());
        while TcpStream::connect_timeout(&address, PACE).is_err() {
            if running.ends_within(PACE)? {
                bail!("{} ended while it was starting; {}", self.node.name, self.last_words());
            }
            if deadline.has_passed() {
                let seconds = START_LIMIT.as_secs();
                bail!("{} does not answer on {address} after {seconds} s; {}", self.node.name, self.last_words());
            }
        }
        Ok(())
    }

    /// Waits for the end of a node that was asked to end. One that does not is killed, and that is an error.
    pub(crate) fn wait_for_end(&self, running: &Running, deadline: Deadline) -> Result<()> {
        if running.ends_within(deadline.left())? {
            return Ok(());
        }
        running.kill(KILL_LIMIT)?;
        let seconds = STOP_LIMIT.as_secs();
        bail!("{} did not end within {seconds} s and was killed; {}", self.node.name, self.last_words())
    }

    pub(crate) fn log_length(&self) -> u64 {
        fs::metadata(self.log_file()).map_or(0, |file| file.len())
    }

    /// The log of this run from a place on.
    pub(crate) fn log_since(&self, place: u64) -> String {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut text = Vec::new();
        // A log that is not there yet says nothing yet.
        if let Ok(mut file) = File::open(self.log_file())
            && file.seek(SeekFrom::Start(place)).is_ok()
        {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn log_file(&self) -> PathBuf {
        self.log_folder().join("system.log")
    }

    /// The end of what the node wrote, for errors.
    pub(crate) fn last_words(&self) -> String {
        let output = fs::read_to_string(self.log_folder().join("output.log")).unwrap_or_default();
        let log = self.log_since(0);
        let mut lines: Vec<&str> = log.lines().chain(output.lines()).filter(|line| !line.is_empty()).collect();
        let shown = lines.split_off(lines.len().saturating_sub(LOG_LINES_SHOWN));
        format!("the end of its logs in {}:\n  {}", self.log_folder().display(), shown.join("\n  "))
    }
}

/// A node's `cassandra.yaml`.
fn settings(node: &Node, folder: &Path, membership: Membership<'_>) -> Result<String> {
    let path = |name: &str| -> Result<Value> {
        let path = folder.join(name);
        Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.into())
    };
    let seeds: Vec<String> = membership.seeds.iter().map(Ipv4Addr::to_string).collect();
    render(
        SETTINGS,
        &[
            ("cluster_name", membership.cluster_name.into()),
            ("seeds", seeds.join(",").into()),
            ("initial_token", node.token.to_string().into()),
            ("address", node.address.to_string().into()),
            ("storage_port", STORAGE_PORT.into()),
            ("cql_port", CQL_PORT.into()),
            ("data_folder", path("data")?),
            ("commitlog_folder", path("commitlog")?),
            ("hints_folder", path("hints")?),
            ("saved_caches_folder", path("saved_caches")?),
            ("cdc_folder", path("cdc_raw")?),
        ],
    )
}

/// A path as Java's URLs have it.
fn file_url(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => url.push(char::from(*byte)),
            _ => write!(url, "%{byte:02X}").expect("a String takes whatever is written"),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn the_settings_have_every_value() {
        let topology = Topology::new(2, 2, "127.0.2".parse().unwrap()).unwrap();
        let membership = Membership { cluster_name: "one: two", seeds: &topology.seeds() };
        let node = &topology.nodes()[3];
        let text = settings(node, Path::new("/a b/dc2-2"), membership).unwrap();
        for line in [
            "cluster_name: \"one: two\"",
            "      - seeds: \"127.0.2.1,127.0.2.3\"",
            "initial_token: \"2000\"",
            "listen_address: \"127.0.2.4\"",
            "rpc_address: \"127.0.2.4\"",
            "native_transport_port: 9042",
            "storage_port: 7000",
            "  - \"/a b/dc2-2/data\"",
            "commitlog_directory: \"/a b/dc2-2/commitlog\"",
            "commitlog_sync: group",
            "commitlog_sync_group_window: 10ms",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn a_path_becomes_a_url() {
        assert_eq!(file_url(Path::new("/a b/ü#?/c-1.yaml")), "file:///a%20b/%C3%BC%23%3F/c-1.yaml");
    }
}
