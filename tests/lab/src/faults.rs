//! Breaking parts of a lab, and mending them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::plan::Role;
use crate::setting_up::START_LIMIT;
use crate::state::{self, ProcessState};
use crate::{health, network};

/// What happens to a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// All its processes end at once, as by a power cut.
    Killed,
    /// It goes on, and these regions and it do not hear each other any more; none means all of them. Clients on this
    /// machine still reach it.
    CutFrom(Vec<String>),
}

/// In this order things are started again.
const ORDER: [Role; 9] = [
    Role::Wan,
    Role::Database,
    Role::Bus,
    Role::GeoDns,
    Role::Observability,
    Role::Region,
    Role::Voice,
    Role::Relay,
    Role::Pop,
];

impl Lab {
    /// Breaks a region.
    pub fn break_region(&mut self, name: &str, fault: &Fault) -> Result<()> {
        self.change(|lab| match fault {
            Fault::Killed => {
                let region = lab.state.region(name)?.name.clone();
                lab.break_all(|process| process.region.as_deref() == Some(&region))
            }
            Fault::CutFrom(others) => lab.cut(name, others),
        })
    }

    /// Kills one process: a node of a region by its name (`eu-1`), or any process by its own.
    pub fn break_node(&mut self, name: &str) -> Result<()> {
        self.change(|lab| {
            let name = lab.state.process(name)?.name.clone();
            lab.break_all(|process| process.name == name)
        })
    }

    /// Kills the bus of every region.
    pub fn break_bus(&mut self) -> Result<()> {
        self.change(|lab| lab.break_all(|process| process.role == Role::Bus))
    }

    /// Asks one process to end in good order, and waits for it; one that takes longer is killed, and that is an error.
    pub fn stop(&mut self, name: &str, limit: Duration) -> Result<()> {
        self.change(|lab| {
            let name = lab.state.process(name)?.name.clone();
            let process = lab.process_mut(&name)?;
            let running = process.running()?.with_context(|| format!("{name} does not run"))?;
            running.ask_to_end()?;
            let ended = running.ends_within(limit)?;
            process.end_within(Duration::ZERO)?;
            process.broken = true;
            ensure!(ended, "{name} did not end within {} s and was killed", limit.as_secs());
            Ok(())
        })
    }

    /// Starts one process that does not run, and waits until it is well.
    pub fn start(&mut self, name: &str, interrupt: &Interrupt) -> Result<()> {
        self.change(|lab| {
            let name = lab.state.process(name)?.name.clone();
            lab.start_process(&name, interrupt)?;
            lab.wait_for(|process| process.name == name, interrupt)
        })
    }

    /// Gives a process other variables from its next start on.
    pub fn set_environment(&mut self, name: &str, variables: &[(&str, &str)]) -> Result<()> {
        self.change(|lab| {
            let name = lab.state.process(name)?.name.clone();
            let environment = &mut lab.process_mut(&name)?.environment;
            environment.clear();
            environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            Ok(())
        })
    }

    /// Mends a region, or everything: starts what does not run and lets regions hear each other. Returns when all of it is
    /// well.
    pub fn heal(&mut self, region: Option<&str>, interrupt: &Interrupt) -> Result<()> {
        self.change(|lab| {
            let region = region.map(|name| lab.state.region(name).map(|it| it.name.clone())).transpose()?;
            lab.mend(region.as_deref())?;
            let concerns = |process: &ProcessState| region.is_none() || process.region == region;
            for role in ORDER {
                let names: Vec<String> = lab
                    .state
                    .processes
                    .iter()
                    .filter(|process| process.role == role && concerns(process))
                    .map(|process| process.name.clone())
                    .collect();
                for name in names {
                    if lab.state.process(&name)?.running()?.is_none() {
                        lab.start_process(&name, interrupt)?;
                        lab.save()?;
                    }
                }
            }
            lab.wait_for(concerns, interrupt)
        })
    }

    /// Changes the state while nobody else does, and writes it whatever came of it.
    fn change(&mut self, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let _lock = state::lock(&self.folder)?;
        self.reload()?;
        let changed = change(self);
        self.save()?;
        changed
    }

    fn process_mut(&mut self, name: &str) -> Result<&mut ProcessState> {
        self.state.processes.iter_mut().find(|process| process.name == name).context("the process was found above")
    }

    /// Ends processes, all of them as good as at once.
    fn break_all(&mut self, concerns: impl Fn(&ProcessState) -> bool) -> Result<()> {
        for process in self.state.processes.iter_mut().filter(|process| concerns(process)) {
            process.broken = true;
            process.kill()?;
        }
        Ok(())
    }

    fn cut(&mut self, name: &str, others: &[String]) -> Result<()> {
        let region = self.state.region(name)?.clone();
        let all = self.state.regions.iter().filter(|other| other.name != region.name);
        let mut cut_from: Vec<String> = match others {
            [] => all.map(|other| other.name.clone()).collect(),
            some => some.to_vec(),
        };
        cut_from.extend(region.cut_from.iter().cloned());
        cut_from.sort();
        cut_from.dedup();
        let networks = cut_from.iter().map(|other| {
            ensure!(*other != name, "{name} cannot be cut off from itself");
            Ok(self.state.region(other)?.network)
        });
        let networks: Vec<_> = networks.collect::<Result<_>>()?;
        let Some(namespace) = &region.namespace else {
            anyhow::bail!("regions on loopback addresses cannot be cut off; break {name} without --cut to kill it");
        };
        network::cut(namespace, &networks)?;
        self.region_mut(name)?.cut_from = cut_from;
        Ok(())
    }

    /// Ends cuts of a region, on whichever side they were made; or all.
    fn mend(&mut self, name: Option<&str>) -> Result<()> {
        for at in 0..self.state.regions.len() {
            let Some(region) = self.state.regions.get(at) else { continue };
            let Some(namespace) = region.namespace.as_deref().filter(|_| !region.cut_from.is_empty()) else { continue };
            let own = name.is_none_or(|name| name == region.name);
            let stays = |other: &String| !own && name != Some(other);
            let left: Vec<String> = region.cut_from.iter().filter(|other| stays(other)).cloned().collect();
            let networks =
                left.iter().map(|other| Ok(self.state.region(other)?.network)).collect::<Result<Vec<_>>>()?;
            match networks.is_empty() {
                true => network::mend(namespace)?,
                false => network::cut(namespace, &networks)?,
            }
            if let Some(region) = self.state.regions.get_mut(at) {
                region.cut_from = left;
            }
        }
        Ok(())
    }

    fn region_mut(&mut self, name: &str) -> Result<&mut crate::state::RegionState> {
        self.state.regions.iter_mut().find(|region| region.name == name).context("the region was found above")
    }

    /// Starts a process; of the wide-area network and the database this includes that they are there.
    pub(crate) fn start_process(&mut self, name: &str, interrupt: &Interrupt) -> Result<()> {
        match self.state.process(name)?.role {
            Role::Wan => self.start_wan(name, interrupt),
            Role::Database => self.start_database(name),
            _ => self.process_mut(name)?.start(),
        }
    }

    fn start_wan(&mut self, name: &str, interrupt: &Interrupt) -> Result<()> {
        self.process_mut(name)?.start()?;
        self.save()?;
        self.wait_for(|process| process.role == Role::Wan, interrupt)?;
        for region in &self.state.regions {
            if let Some(namespace) = &region.namespace {
                let machine = self.state.of_region(&region.name).find(|process| process.role == Role::Region);
                let source = machine.and_then(|process| process.address("link").ok());
                let Some(std::net::SocketAddr::V4(source)) = source else { continue };
                network::connect_wan(namespace, &self.state.all_regions, *source.ip())?;
            }
        }
        Ok(())
    }

    fn start_database(&mut self, name: &str) -> Result<()> {
        let cluster = self.cluster()?.context("the lab has no database")?;
        cluster.start(name)?;
        let running = cluster.process(name)?.with_context(|| format!("{name} has ended"))?;
        let process = self.process_mut(name)?;
        process.pid = Some(running.pid());
        process.start_ticks = running.start_ticks();
        process.broken = false;
        Ok(())
    }

    fn wait_for(&self, concerns: impl Fn(&ProcessState) -> bool, interrupt: &Interrupt) -> Result<()> {
        for process in self.state.processes.iter().filter(|process| concerns(process)) {
            let gateways = self.state.gateways();
            process.wait_until(START_LIMIT, interrupt, || health::check(process, gateways).is_ok())?;
        }
        Ok(())
    }
}
