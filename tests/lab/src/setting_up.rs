//! Bringing a lab up, step by step.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rookery_test_cluster::{Cluster, DataCentre, Topology};

use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::machine_files::{adapt, main_file};
use crate::plan::{Machine, Plan, PlannedRegion, Role, port};
use crate::process::run;
use crate::programs::Programs;
use crate::rendered::{inside, render};
use crate::state::{ProcessState, RegionState, State};
use crate::wan::{WanConfig, WanEnd};
use crate::{health, network};

/// How long a process may take until it is well.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(120);
/// What carries packets is called so.
pub(crate) const WAN: &str = "wan";
/// How often the schema is begun.
const SCHEMA_TRIES: usize = 3;
/// How often somebody who waits for the database looks whether to go on.
const PACE: Duration = Duration::from_millis(100);

/// A lab that is being brought up.
pub(crate) struct SettingUp<'a> {
    pub(crate) lab: Lab,
    plan: Plan,
    interrupt: &'a Interrupt,
    tell: &'a dyn Fn(&str),
}

impl<'a> SettingUp<'a> {
    pub(crate) fn new(
        folder: &Path,
        programs: &Programs,
        plan: Plan,
        interrupt: &'a Interrupt,
        tell: &'a dyn Fn(&str),
    ) -> Result<Self> {
        let state = state(folder, programs, &plan);
        let lab = Lab { folder: folder.to_owned(), programs: programs.clone(), state };
        // Whatever happens from here on, `down` finds it.
        lab.save()?;
        Ok(Self { lab, plan, interrupt, tell })
    }

    /// All of it; `slots` keeps other labs from choosing the same networks.
    pub(crate) fn bring_up(&mut self, slots: File) -> Result<()> {
        self.make_networks()?;
        drop(slots);
        self.interrupt.check()?;
        self.write_deployment()?;
        let cluster = self.create_cluster()?;
        self.tell("starting the database, a data centre a region");
        let (done, wait) = sync_channel(1);
        let started = thread::scope(|scope| {
            let starting = &cluster;
            scope.spawn(move || {
                // Nobody listens any more where the lab is being removed.
                let _ = done.send(starting.up());
            });
            let others = self.prepare_machines().and_then(|()| self.start_beside_database());
            loop {
                match wait.recv_timeout(PACE) {
                    Ok(outcome) => return others.and_then(|()| outcome.map(drop).context("the database")),
                    Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the database's starter panicked"),
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if others.is_err() || self.interrupt.check().is_err() {
                    // Who waits for the nodes sees them end, and gives up.
                    kill_nodes(&cluster)?;
                }
            }
        });
        // Why it did not start, where it was the user who wanted that.
        self.interrupt.check()?;
        started?;
        self.note_database(&cluster)?;
        self.make_schema()?;
        self.tell("starting nodes, voice nodes and points of presence");
        for role in [Role::Region, Role::Voice, Role::Relay, Role::Pop] {
            self.start_all(&[role])?;
        }
        self.wait_for_all()
    }

    fn tell(&self, line: &str) {
        (self.tell)(line);
    }

    fn make_networks(&mut self) -> Result<()> {
        for region in &self.plan.regions {
            if let Some(namespace) = &region.namespace {
                let addresses: Vec<_> = region.machines.iter().map(|machine| machine.address).collect();
                network::make(namespace, &region.link, region.network, &addresses)?;
            }
        }
        if self.lab.state.process(WAN).is_err() {
            return Ok(());
        }
        let Plan { options, .. } = &self.plan;
        self.tell(&format!(
            "{} regions in network namespaces, {} ms and {} % of loss between them",
            self.plan.regions.len(),
            options.delay_ms,
            options.loss_percent
        ));
        let folder = self.lab.folder.join(WAN);
        fs::create_dir_all(&folder)?;
        let ends = self.plan.regions.iter().filter_map(|region| {
            let namespace = region.namespace.clone()?;
            Some(WanEnd { namespace, network: region.network })
        });
        let config = WanConfig {
            delay_ms: options.delay_ms,
            loss_percent: options.loss_percent,
            seed: options.seed,
            ends: ends.collect(),
            ready_file: folder.join("ready"),
        };
        fs::write(folder.join("wan.json"), serde_json::to_vec_pretty(&config)?)?;
        self.lab.start_process(WAN, self.interrupt)
    }

    fn write_deployment(&self) -> Result<()> {
        let path = &self.lab.state.deployment_file;
        fs::write(path, serde_json::to_vec_pretty(&self.plan.deployment())?)?;
        run(self.rookery().args(["deployment", "check"]).arg(path)).map(drop)
    }

    fn rookery(&self) -> Command {
        Command::new(&self.lab.programs.rookery)
    }

    fn create_cluster(&self) -> Result<Cluster> {
        let places = self.plan.machines_of(Role::Database).map(|(region, machine)| DataCentre {
            name: region.name.clone(),
            first_address: machine.address,
            network_namespace: region.namespace.clone(),
        });
        let topology = Topology::placed(places.collect(), 1)?;
        let folder = self.lab.folder.join("cluster");
        let runtime = &self.lab.programs.runtime;
        if let Some(left) = Cluster::open(&folder, runtime)? {
            left.delete()?;
        }
        Cluster::create(&folder, topology, runtime)
    }

    /// Files, certificates and secrets of every machine.
    fn prepare_machines(&self) -> Result<()> {
        self.tell("rendering what machines are told");
        let folder = &self.lab.folder;
        let Programs { terraform, repository, .. } = &self.lab.programs;
        let scratch = folder.join("rendered");
        fs::create_dir_all(&scratch)?;
        let with_machines = scratch.join("deployment.json");
        fs::write(&with_machines, serde_json::to_vec_pretty(&self.plan.deployment_with_machines())?)?;
        let rendered = render(terraform, repository, &with_machines, &scratch)?;
        run(self.rookery().args(["deployment", "keys"]).arg(folder.join("keys")))?;
        for region in &self.plan.regions {
            for machine in &region.machines {
                self.interrupt.check()?;
                let root = root(folder, machine);
                fs::create_dir_all(&root)?;
                let files = rendered.get(&machine.name);
                let files = files.with_context(|| format!("Terraform has no machine {}", machine.name))?;
                let is_same = files.private_ip == machine.address && files.region == region.name;
                ensure!(is_same, "Terraform has {} at {} in {}", machine.name, files.private_ip, files.region);
                // Written for ScyllaDB, which is in no archive.
                if machine.role != Role::Database {
                    files.write(&root)?;
                }
                let deployment = root.join("etc/rookery/deployment.json");
                if deployment.exists() {
                    fs::copy(&self.lab.state.deployment_file, deployment)?;
                }
                self.bring_secrets(machine, &root)?;
                adapt(machine, &root, self.plan.mode, self.plan.options.limits, self.plan.dns_port())?;
            }
        }
        Ok(())
    }

    /// What an operator brings to machines by hand.
    fn bring_secrets(&self, machine: &Machine, root: &Path) -> Result<()> {
        let keys = self.lab.folder.join("keys");
        let etc = |name: &str| root.join("etc/rookery").join(name);
        match machine.role {
            Role::Region => {
                let credentials = root.join("run/credentials/rookery-region.service");
                self.issue("ca", "region", None, &etc("link"), &credentials.join("link.key"))?;
                self.issue("bus-ca", "region", None, &etc("bus"), &credentials.join("bus.key"))?;
                let data = root.join("var/lib/rookery-region");
                fs::create_dir_all(&data)?;
                for secret in ["token.key", "admin.token"] {
                    fs::copy(keys.join(secret), data.join(secret))?;
                }
            }
            Role::Voice => {
                let credentials = root.join("run/credentials/rookery-sfu.service");
                let address = machine.address.to_string();
                self.issue("ca", "https", Some(&address), &etc("tls"), &credentials.join("tls.key"))?;
                self.issue("bus-ca", "region", None, &etc("bus"), &credentials.join("bus.key"))?;
            }
            Role::Pop => {
                let key = root.join("run/credentials/rookery-pop.service/link.key");
                self.issue("ca", "pop", None, &etc("link"), &key)?;
                fs::copy(keys.join("token.pub"), etc("token.pub"))?;
            }
            Role::Bus => {
                let folder = root.join("etc/nats");
                let name = machine.address.to_string();
                self.issue("bus-ca", "region", Some(&name), &folder, &folder.join("key.pem"))?;
                let password = fs::read_to_string(keys.join("admin.token"))?;
                // Any secret does, that all servers of the region have.
                let text = format!("authorization {{ user: rookery, password: {password:?} }}\n");
                fs::write(folder.join("cluster.conf"), text)?;
            }
            Role::GeoDns => {
                let folder = inside(root, main_file(Role::GeoDns));
                let mut generate = self.rookery();
                generate.args(["deployment", "geodns"]).arg(&self.lab.state.deployment_file).arg("--out").arg(folder);
                run(&mut generate)?;
            }
            Role::Observability | Role::Database | Role::Relay | Role::Wan => {}
        }
        Ok(())
    }

    fn issue(&self, ca: &str, role: &str, name: Option<&str>, folder: &Path, key: &Path) -> Result<()> {
        let mut command = self.rookery();
        command.arg("ca").arg("--dir").arg(self.lab.folder.join(ca)).args(["issue", "--role", role]);
        command.arg("--out").arg(folder).args(name.iter().flat_map(|name| ["--name", name]));
        run(&mut command)?;
        fs::create_dir_all(key.parent().context("a key is in a folder")?)?;
        let issued = folder.join("key.pem");
        if issued != key {
            fs::rename(&issued, key).with_context(|| format!("{} cannot be moved", issued.display()))?;
        }
        Ok(())
    }

    fn start_beside_database(&mut self) -> Result<()> {
        self.tell("starting the bus, name servers and Prometheus");
        self.start_all(&[Role::Bus, Role::GeoDns, Role::Observability])
    }

    /// Starts everything of these roles; whether it is well is asked later.
    fn start_all(&mut self, roles: &[Role]) -> Result<()> {
        for process in self.lab.state.processes.iter_mut().filter(|process| roles.contains(&process.role)) {
            self.interrupt.check()?;
            process.start()?;
        }
        self.lab.save()
    }

    fn note_database(&mut self, cluster: &Cluster) -> Result<()> {
        for process in self.lab.state.processes.iter_mut().filter(|process| process.role == Role::Database) {
            let running = cluster.process(&process.name)?.with_context(|| format!("{} has ended", process.name))?;
            process.pid = Some(running.pid());
            process.start_ticks = running.start_ticks();
        }
        self.lab.save()
    }

    fn make_schema(&self) -> Result<()> {
        self.tell("making the schema");
        let (_, machine) = self.plan.machines_of(Role::Region).next().context("a lab has a node")?;
        let config = inside(&root(&self.lab.folder, machine), main_file(Role::Region));
        // A database that has just begun on a busy machine may time out; what was made of the schema stands.
        for _ in 1..SCHEMA_TRIES {
            match run(self.rookery().args(["admin", "schema", "--config"]).arg(&config)) {
                Ok(_) => return Ok(()),
                Err(error) => self.tell(&format!("trying again: {error:#}")),
            }
            self.interrupt.check()?;
        }
        run(self.rookery().args(["admin", "schema", "--config"]).arg(&config)).map(drop)
    }

    fn wait_for_all(&self) -> Result<()> {
        self.tell("waiting until everything is well");
        let gateways = self.lab.state.gateways();
        for process in &self.lab.state.processes {
            process.wait_until(START_LIMIT, self.interrupt, || health::check(process, gateways).is_ok())?;
        }
        Ok(())
    }
}

fn kill_nodes(cluster: &Cluster) -> Result<()> {
    for (node, state) in cluster.nodes()? {
        // It may have ended in between, which is as well.
        if state.is_running() && cluster.kill(&node.name).is_err() {
            ensure!(cluster.process(&node.name)?.is_none(), "{} cannot be ended", node.name);
        }
    }
    Ok(())
}

/// Where a machine's files are.
fn root(folder: &Path, machine: &Machine) -> PathBuf {
    folder.join("machines").join(&machine.name).join("root")
}

/// A lab of which nothing runs yet.
fn state(folder: &Path, programs: &Programs, plan: &Plan) -> State {
    let machines = plan.regions.iter().flat_map(|region| region.machines.iter().map(move |machine| (region, machine)));
    let mut processes = Vec::new();
    for (region, machine) in machines {
        processes.push(process(folder, programs, plan, region, machine, machine.role));
        if machine.role == Role::Voice {
            processes.push(process(folder, programs, plan, region, machine, Role::Relay));
        }
    }
    if plan.regions.iter().all(|region| region.namespace.is_some()) {
        processes.insert(0, wan(folder, programs));
    }
    let regions = plan.regions.iter().map(|region| RegionState {
        name: region.name.clone(),
        network: region.network,
        namespace: region.namespace.clone(),
        link: region.link.clone(),
        cut_from: Vec::new(),
    });
    State {
        version: State::version(),
        mode: plan.mode,
        options: plan.options.clone(),
        slot: plan.slot,
        rookery: programs.rookery.clone(),
        deployment_file: folder.join("deployment.json"),
        admin_token_file: folder.join("keys/admin.token"),
        ca_file: folder.join("ca/ca.pem"),
        all_regions: plan.all_regions(),
        regions: regions.collect(),
        processes,
    }
}

fn wan(folder: &Path, programs: &Programs) -> ProcessState {
    let own = folder.join(WAN);
    ProcessState {
        name: WAN.into(),
        role: Role::Wan,
        region: None,
        node: WAN.into(),
        namespace: None,
        pid: None,
        start_ticks: None,
        broken: false,
        addresses: BTreeMap::new(),
        command: vec![text(&programs.wan), text(&own.join("wan.json"))],
        environment: BTreeMap::new(),
        log: own.join("log"),
        ready_file: Some(own.join("ready")),
    }
}

/// What a machine runs for one of its roles.
fn process(
    folder: &Path,
    programs: &Programs,
    plan: &Plan,
    region: &PlannedRegion,
    machine: &Machine,
    role: Role,
) -> ProcessState {
    let own = folder.join("machines").join(&machine.name);
    let main = text(&inside(&root(folder, machine), main_file(role)));
    let ready_file = matches!(role, Role::Region | Role::Voice | Role::Pop).then(|| own.join("ready.json"));
    let at = |port: u16| SocketAddr::from((machine.address, port));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let rookery = |role: &str| {
        let ready = text(&own.join("ready.json"));
        words(&[&text(&programs.rookery), role, "--config", &main, "--ready-file", &ready])
    };
    let (command, addresses) = match role {
        Role::Database => (Vec::new(), vec![("cql", at(port::CQL).to_string())]),
        Role::Bus => (
            words(&[&text(&programs.nats_server), "-c", &main]),
            vec![
                ("nats", format!("nats://{}", at(port::NATS))),
                ("monitor", format!("http://{}", at(port::NATS_MONITOR))),
            ],
        ),
        Role::Region => (
            rookery("region"),
            vec![
                ("gateway", format!("ws://{}", at(port::GATEWAY))),
                ("operator", format!("http://{}", at(port::REGION_OPERATOR))),
                ("link", at(port::LINK).to_string()),
            ],
        ),
        Role::Voice => (
            rookery("sfu"),
            vec![
                ("voice", format!("wss://{}", at(port::VOICE))),
                ("operator", format!("http://{}", at(port::VOICE_OPERATOR))),
            ],
        ),
        Role::Relay => (
            words(&[&text(&programs.turnserver), "-c", &main, "--pidfile", &text(&own.join("turnserver.pid"))]),
            vec![("turn", format!("turn://{}", at(port::TURN)))],
        ),
        Role::Pop => (
            rookery("pop"),
            vec![
                ("api", format!("http://{}/api", at(port::POP_HTTP))),
                ("operator", format!("http://{}", at(port::POP_OPERATOR))),
            ],
        ),
        Role::GeoDns => {
            (words(&[&text(&programs.gdnsd), "-c", &main, "start"]), vec![("dns", at(plan.dns_port()).to_string())])
        }
        Role::Observability => (
            words(&[
                &text(&programs.prometheus),
                &format!("--config.file={main}"),
                &format!("--storage.tsdb.path={}", own.join("data").display()),
                "--storage.tsdb.retention.size=256MB",
                &format!("--web.listen-address={}", at(port::PROMETHEUS)),
            ]),
            vec![("prometheus", format!("http://{}", at(port::PROMETHEUS)))],
        ),
        Role::Wan => (Vec::new(), Vec::new()),
    };
    let log = match role {
        Role::Database => folder.join("cluster").join(&machine.name).join("log/system.log"),
        Role::Relay => own.join("relay.log"),
        _ => own.join("log"),
    };
    // Two of one machine.
    let name = if role == Role::Relay { format!("{}-turn", region.name) } else { machine.name.clone() };
    let node = if role == Role::Relay { name.clone() } else { machine.node.clone() };
    ProcessState {
        name,
        role,
        region: Some(region.name.clone()),
        node,
        namespace: region.namespace.clone(),
        pid: None,
        start_ticks: None,
        broken: false,
        addresses: addresses.into_iter().map(|(name, address)| (name.to_owned(), address)).collect(),
        command,
        environment: BTreeMap::new(),
        log,
        ready_file,
    }
}

/// Paths in `lab.json` are text.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
