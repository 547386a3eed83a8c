//! The cluster: started until every node serves, ended, and one node at a time.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::gossip::{self, RingEntry};
use crate::node::{LocalNode, Membership, State};
use crate::process::Running;
use crate::runtime::{Archive, Runtime};
use crate::subnet::first_taken;
use crate::topology::{Node, Topology};
use crate::waiting::{Deadline, KILL_LIMIT, PACE, START_LIMIT, STOP_LIMIT};

/// How many nodes start at the same time, seeds apart: each takes a processor for ten seconds.
const STARTED_TOGETHER_MAX: usize = 4;

/// When nodes end by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Never: they outlive the program that started them.
    Detached,
    /// With the thread that started them, however it ends. Not for threads of a pool.
    OfStartingThread,
}

/// How often nodes start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// Again and again: what they stored is there.
    Again,
    /// Once: changes of the schema are not written to disk one by one, which is most of the time that they take, and a
    /// node that started again would not know its tables.
    Once,
}

/// What [`Cluster::up`] had to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// Every node served already.
    Already,
    /// These were started, by name.
    Started(Vec<String>),
}

/// A cluster in a folder of this machine.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    topology: Topology,
    runtime: Runtime,
    lifetime: Lifetime,
    starts: Starts,
    nodes: Vec<LocalNode>,
}

/// What `cluster.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    topology: Topology,
}

impl Cluster {
    /// The cluster that a folder holds, running or not.
    pub fn open(folder: &Path, runtime: &Runtime) -> Result<Option<Self>> {
        let file = folder.join("cluster.json");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let description: Description =
            serde_json::from_slice(&text).with_context(|| format!("{} is not as expected", file.display()))?;
        Self::new(folder, description.topology, runtime).map(Some)
    }

    /// The cluster of this topology in a folder; fails where the folder holds another that was started.
    pub fn create(folder: &Path, topology: Topology, runtime: &Runtime) -> Result<Self> {
        if let Some(cluster) = Self::open(folder, runtime)? {
            if cluster.topology == topology {
                return Ok(cluster);
            }
            let (other, folder) = (&cluster.topology, folder.display());
            ensure!(
                cluster.was_never_started(),
                "{folder} holds a cluster of {other}, not of {topology}: \
                 remove it with `cargo xtask cql down --delete`, or name another folder with --dir"
            );
        }
        fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
        let description = serde_json::to_vec(&Description { topology: topology.clone() })?;
        fs::write(folder.join("cluster.json"), description).context("cluster.json could not be written")?;
        Self::new(folder, topology, runtime)
    }

    fn new(folder: &Path, topology: Topology, runtime: &Runtime) -> Result<Self> {
        // Processes are recognised by it: one spelling.
        let folder = folder.canonicalize().with_context(|| format!("{} is not there", folder.display()))?;
        let nodes = topology.nodes().into_iter().map(|node| LocalNode::new(&folder, node)).collect();
        let (runtime, lifetime, starts) = (runtime.clone(), Lifetime::Detached, Starts::Again);
        Ok(Self { folder, topology, runtime, lifetime, starts, nodes })
    }

    fn was_never_started(&self) -> bool {
        self.nodes.iter().all(|local| !local.folder().exists())
    }

    /// The same cluster, with nodes that end as said.
    pub fn with_lifetime(self, lifetime: Lifetime) -> Self {
        Self { lifetime, ..self }
    }

    /// The same cluster, with nodes that start as often as said.
    pub fn with_starts(self, starts: Starts) -> Self {
        Self { starts, ..self }
    }

    /// How many data centres of how many nodes.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Every node with what its process is at.
    pub fn nodes(&self) -> Result<Vec<(Node, State)>> {
        self.nodes.iter().map(|local| Ok((local.node.clone(), local.state()?))).collect()
    }

    /// The process of a node, if it runs.
    pub fn process(&self, name: &str) -> Result<Option<Running>> {
        self.find(name)?.running()
    }

    /// Where a client finds the cluster: one address of each node.
    pub fn contact_points(&self) -> Vec<SocketAddrV4> {
        self.nodes.iter().map(|local| local.node.cql()).collect()
    }

    /// Starts what does not run and returns when every node sees every node up and normal.
    pub fn up(&self) -> Result<Up> {
        let _lock = self.lock()?;
        let mut missing = Vec::new();
        for local in &self.nodes {
            if local.running()?.is_none() {
                missing.push(local);
            }
        }
        self.start_all(&missing)?;
        if missing.is_empty() {
            return Ok(Up::Already);
        }
        Ok(Up::Started(missing.into_iter().map(|local| local.node.name.clone()).collect()))
    }

    /// Starts a node and returns when it and every running node see each other up and normal.
    pub fn start(&self, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        let local = self.find(name)?;
        ensure!(local.running()?.is_none(), "{name} runs already");
        ensure!(self.starts == Starts::Again, "{name} is of a cluster whose nodes start once");
        self.start_all(&[local])
    }

    /// Asks a node to flush and end, and waits for it.
    pub fn stop(&self, name: &str) -> Result<()> {
        let local = self.find(name)?;
        let Some(running) = local.running()? else { bail!("{name} does not run") };
        running.ask_to_end()?;
        local.wait_for_end(&running, Deadline::after(STOP_LIMIT))
    }

    /// Ends a node at once (SIGKILL), as a crash would. Returns when its process is gone; its neighbours notice later.
    pub fn kill(&self, name: &str) -> Result<()> {
        let Some(running) = self.find(name)?.running()? else { bail!("{name} does not run") };
        running.kill(KILL_LIMIT)
    }

    /// Halts a node (SIGSTOP): it keeps its connections and answers nothing, as a machine that is overwhelmed.
    pub fn freeze(&self, name: &str) -> Result<()> {
        let Some(running) = self.find(name)?.running()? else { bail!("{name} does not run") };
        running.halt(KILL_LIMIT)
    }

    /// Lets a halted node go on (SIGCONT).
    pub fn thaw(&self, name: &str) -> Result<()> {
        let Some(running) = self.find(name)?.running()? else { bail!("{name} does not run") };
        running.go_on()
    }

    /// Asks every node to end and waits for all; how many there were. What they stored stays.
    pub fn down(&self) -> Result<usize> {
        let _lock = self.lock()?;
        let running = self.running()?;
        for (_, running) in &running {
            running.ask_to_end()?;
        }
        let deadline = Deadline::after(STOP_LIMIT);
        let ends: Vec<Result<()>> =
            running.iter().map(|(local, running)| local.wait_for_end(running, deadline)).collect();
        ends.into_iter().collect::<Result<()>>()?;
        Ok(running.len())
    }

    /// Ends every node at once and removes all that they stored.
    pub fn delete(&self) -> Result<()> {
        let lock = self.lock()?;
        for (_, running) in self.running()? {
            running.kill(KILL_LIMIT)?;
        }
        // Only what is ours: somebody may have named a folder with other things in it.
        let tool_home = self.tool_home();
        for folder in self.nodes.iter().map(LocalNode::folder).chain([tool_home.as_path()]) {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("{} cannot be removed", folder.display()));
                }
                _ => {}
            }
        }
        for file in ["cluster.json", "lock"] {
            fs::remove_file(self.folder.join(file)).with_context(|| format!("{file} cannot be removed"))?;
        }
        drop(lock);
        // Stays if there is something else in it.
        let _ = fs::remove_dir(&self.folder);
        Ok(())
    }

    /// The ring as one node sees it.
    pub fn ring(&self, viewer: &str) -> Result<Vec<RingEntry>> {
        Ok(gossip::read_status(&self.nodetool(viewer, &["status"])?))
    }

    /// What `nodetool ARGS` prints about a node.
    pub fn nodetool(&self, name: &str, args: &[&str]) -> Result<String> {
        let output = self.nodetool_command(name)?.args(args).output().context("nodetool could not be started")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let shown = args.join(" ");
        ensure!(
            output.status.success(),
            "`nodetool {shown}` on {name} failed ({}): {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }

    /// `nodetool` for one node, without arguments.
    pub fn nodetool_command(&self, name: &str) -> Result<Command> {
        self.nodetool_with(name, Archive::Use)
    }

    pub(crate) fn nodetool_with(&self, name: &str, archive: Archive<'_>) -> Result<Command> {
        let address = self.find(name)?.node.address.to_string();
        let home = self.tool_home();
        fs::create_dir_all(&home).with_context(|| format!("{} could not be made", home.display()))?;
        let mut command = self.runtime.nodetool(&home, archive);
        command.args(["-h", &address, "-p", &crate::topology::JMX_PORT.to_string()]);
        Ok(command)
    }

    fn tool_home(&self) -> PathBuf {
        self.folder.join("nodetool")
    }

    /// Starting and ending happen one after the other, whichever program does it.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join("lock");
        let file = File::create(&path).with_context(|| format!("{} could not be made", path.display()))?;
        file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
        Ok(file)
    }

    fn find(&self, name: &str) -> Result<&LocalNode> {
        self.nodes.iter().find(|local| local.node.name == name).with_context(|| {
            let known: Vec<&str> = self.nodes.iter().map(|local| local.node.name.as_str()).collect();
            format!("there is no node {name}; there are {}", known.join(", "))
        })
    }

    fn running(&self) -> Result<Vec<(&LocalNode, Running)>> {
        let mut found = Vec::new();
        for local in &self.nodes {
            if let Some(running) = local.running()? {
                found.push((local, running));
            }
        }
        Ok(found)
    }

    /// Starts these nodes, seeds first: a node that hears no seed when it starts gives up.
    fn start_all(&self, missing: &[&LocalNode]) -> Result<()> {
        // Addresses of other network namespaces cannot be looked at from here, and are nobody else's.
        let here = missing.iter().filter(|local| local.node.network_namespace.is_none());
        let sockets: Vec<_> = here.flat_map(|local| local.node.sockets()).collect();
        if let Some(taken) = first_taken(&sockets)? {
            bail!("{taken} is in use by another program; `--subnet` chooses other addresses");
        }
        let log_lengths =
            self.running()?.into_iter().map(|(local, _)| (local.node.name.clone(), local.log_length())).collect();
        let (seeds, others): (Vec<&LocalNode>, Vec<&LocalNode>) =
            missing.iter().copied().partition(|local| local.node.is_seed);
        let mut started = Vec::new();
        for together in std::iter::once(seeds.as_slice()).chain(others.chunks(STARTED_TOGETHER_MAX)) {
            started.extend(self.start_together(together)?);
        }
        self.wait_until_joined(&started, &log_lengths)
    }

    fn start_together<'a>(&self, nodes: &[&'a LocalNode]) -> Result<Vec<(&'a LocalNode, Running)>> {
        let mut started = Vec::new();
        for local in nodes {
            started.push((*local, self.start_process(local, Archive::Use)?));
        }
        let deadline = Deadline::after(START_LIMIT);
        for (local, running) in &started {
            local.wait_for_cql(running, deadline)?;
        }
        Ok(started)
    }

    /// Starts one process, without waiting for anything.
    fn start_process(&self, local: &LocalNode, archive: Archive<'_>) -> Result<Running> {
        let name = format!("rookery-{}", self.topology.subnet());
        let membership = Membership { cluster_name: &name, seeds: &self.topology.seeds() };
        local.start(membership, &self.runtime, self.lifetime, self.starts, archive)
    }

    /// Starts a node that leaves a class archive behind, and waits until it answers.
    pub(crate) fn start_training(&self, name: &str, archive: &Path) -> Result<()> {
        let local = self.find(name)?;
        let running = self.start_process(local, Archive::Make(archive))?;
        local.wait_for_cql(&running, Deadline::after(START_LIMIT))
    }

    /// Waits until all running nodes see each other. CQL is answered before that, but not by all replicas.
    ///
    /// `log_lengths` has the nodes that ran before, with how far their logs were: what they say of a neighbour's
    /// former life does not count.
    fn wait_until_joined(&self, started: &[(&LocalNode, Running)], log_lengths: &HashMap<String, u64>) -> Result<()> {
        let deadline = Deadline::after(START_LIMIT);
        while let Some(unseen) = self.first_unseen(started, log_lengths)? {
            for (local, running) in started {
                if running.ends_within(PACE / u32::try_from(started.len()).unwrap_or(1))? {
                    bail!("{} ended while it was joining; {}", local.node.name, local.last_words());
                }
            }
            if deadline.has_passed() {
                bail!("the cluster is not whole after {} s: {unseen}", START_LIMIT.as_secs());
            }
        }
        Ok(())
    }

    /// The first sign that the running nodes do not all see each other.
    fn first_unseen(
        &self,
        started: &[(&LocalNode, Running)],
        log_lengths: &HashMap<String, u64>,
    ) -> Result<Option<String>> {
        let running: Vec<&LocalNode> = self.running()?.into_iter().map(|(local, _)| local).collect();
        let new_log = |viewer: &LocalNode| viewer.log_since(log_lengths.get(&viewer.node.name).copied().unwrap_or(0));
        let logs: Vec<String> = running.iter().map(|viewer| new_log(viewer)).collect();
        let is_new = |local: &LocalNode| started.iter().any(|(new, _)| new.node.name == local.node.name);
        // The logs first: they cost nothing to read, a question by nodetool costs half a second.
        for (viewer, log) in running.iter().zip(&logs) {
            let neighbours = running.iter().filter(|other| other.node != viewer.node);
            let mut news = neighbours.filter(|other| is_new(viewer) || is_new(other));
            if let Some(unseen) = news.find(|other| !gossip::hears(log, other.node.address)) {
                return Ok(Some(format!("{} has not heard {}", viewer.node.name, unseen.node.name)));
            }
        }
        for viewer in &running {
            if let Some(unseen) = self.not_serving(viewer, &running) {
                return Ok(Some(unseen));
            }
        }
        // While a ring forms, neighbours are marked up more than once: it held still while it was looked at.
        let moved =
            running.iter().zip(&logs).find(|(viewer, log)| gossip::moves(&new_log(viewer)) != gossip::moves(log));
        Ok(moved.map(|(viewer, _)| format!("what {} sees is still changing", viewer.node.name)))
    }

    /// Which of these nodes the viewer does not list as up and normal.
    fn not_serving(&self, viewer: &LocalNode, nodes: &[&LocalNode]) -> Option<String> {
        let ring = match self.ring(&viewer.node.name) {
            Ok(ring) => ring,
            // It may have come too far to answer CQL and not far enough to answer this, or just have been killed.
            Err(error) => return Some(format!("{error:#}")),
        };
        let serves = |node: &Node| ring.iter().any(|entry| entry.address == node.address && entry.state == "UN");
        let unseen = nodes.iter().find(|other| !serves(&other.node))?;
        Some(format!("{} does not list {} as UN", viewer.node.name, unseen.node.name))
    }
}
