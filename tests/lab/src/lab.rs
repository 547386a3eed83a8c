//! A lab as a whole: brought up, found again, taken down.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rookery_test_cluster::Cluster;

use crate::interrupt::Interrupt;
use crate::plan::{Mode, Options, Plan, Role, SLOTS};
use crate::programs::Programs;
use crate::setting_up::SettingUp;
use crate::state::{self, State};
use crate::{network, plan};

/// How long nodes and points of presence may drain when the lab is taken down.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// What is in a lab's folder beside `lab.json` and `lock`, which stay.
const CONTENTS: [&str; 7] = ["bus-ca", "ca", "deployment.json", "keys", "machines", "rendered", "wan"];

/// A lab in a folder.
#[derive(Debug)]
pub struct Lab {
    pub(crate) folder: PathBuf,
    pub(crate) programs: Programs,
    pub(crate) state: State,
}

impl Lab {
    /// Brings a lab up and returns when everything in it is well; what was begun is undone where that does not succeed.
    ///
    /// `tell` is given lines for a person.
    pub fn up(
        folder: &Path,
        programs: &Programs,
        options: &Options,
        interrupt: &Interrupt,
        tell: &dyn Fn(&str),
    ) -> Result<Self> {
        options.check()?;
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let folder = folder.canonicalize()?;
        let _lock = state::lock(&folder)?;
        if let Some(state) = State::load(&folder)? {
            let mut left = Self { folder: folder.clone(), programs: programs.clone(), state };
            let shown = folder.display();
            ensure!(
                !left.runs()?,
                "a lab is up in {shown}: end it with `cargo xtask lab down`, or name another folder"
            );
            tell("removing what is left of a lab that ended by itself");
            left.take_down()?;
        }
        remove_contents(&folder)?;
        let (plan, slots) = choose(options, tell)?;
        let mut setting_up = SettingUp::new(&folder, programs, plan, interrupt, tell)?;
        match setting_up.bring_up(slots) {
            Ok(()) => Ok(setting_up.lab),
            Err(error) => {
                tell("it did not come up: removing what was begun; its logs stay");
                let undone = setting_up.lab.take_down();
                let error = error.context(format!("the lab in {} did not come up", folder.display()));
                Err(match undone {
                    Ok(()) => error,
                    Err(other) => error.context(format!("it could not be removed either: {other:#}")),
                })
            }
        }
    }

    /// The lab that is up in a folder.
    pub fn open(folder: &Path, programs: &Programs) -> Result<Self> {
        let missing = || format!("no lab is up in {}: start one with `cargo xtask lab up`", folder.display());
        let state = if folder.exists() { State::load(folder)? } else { None };
        let state = state.with_context(missing)?;
        Ok(Self { folder: folder.canonicalize()?, programs: programs.clone(), state })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What runs and where it answers, as of the last look.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Looks anew: another program may have broken or mended something.
    pub fn reload(&mut self) -> Result<()> {
        let state = State::load(&self.folder)?;
        self.state = state.with_context(|| format!("the lab in {} was taken down", self.folder.display()))?;
        Ok(())
    }

    /// Ends everything and removes the networks; logs stay.
    pub fn down(mut self) -> Result<()> {
        let _lock = state::lock(&self.folder)?;
        self.reload()?;
        self.take_down()
    }

    /// Whether anything of it runs.
    fn runs(&self) -> Result<bool> {
        for process in &self.state.processes {
            if process.running()?.is_some() {
                return Ok(true);
            }
        }
        let Some(cluster) = self.cluster()? else { return Ok(false) };
        Ok(cluster.nodes()?.iter().any(|(_, state)| state.is_running()))
    }

    /// The database; none where it was never started.
    pub(crate) fn cluster(&self) -> Result<Option<Cluster>> {
        Cluster::open(&self.folder.join("cluster"), &self.programs.runtime)
    }

    pub(crate) fn save(&self) -> Result<()> {
        self.state.save(&self.folder)
    }

    /// Ends what runs, from the outside in, and removes the networks. Goes on past what cannot be ended.
    pub(crate) fn take_down(&mut self) -> Result<()> {
        let mut outcomes = Vec::new();
        for roles in [&[Role::Pop][..], &[Role::Voice], &[Role::Region]] {
            outcomes.push(self.end(roles));
        }
        for process in self.state.processes.iter_mut().filter(|process| process.role != Role::Database) {
            outcomes.push(process.kill());
        }
        outcomes.push(self.cluster().and_then(|cluster| cluster.map_or(Ok(()), |cluster| cluster.delete())));
        for region in &self.state.regions {
            if let Some(namespace) = &region.namespace {
                outcomes.push(network::remove(namespace).and_then(|()| network::remove_link(&region.link)));
            }
        }
        outcomes.into_iter().collect::<Result<()>>()?;
        State::forget(&self.folder)
    }

    /// Has processes of these roles drain together.
    fn end(&mut self, roles: &[Role]) -> Result<()> {
        let mut ending: Vec<_> =
            self.state.processes.iter_mut().filter(|process| roles.contains(&process.role)).collect();
        for process in &ending {
            if let Some(running) = process.running()? {
                running.ask_to_end()?;
            }
        }
        let start = std::time::Instant::now();
        for process in &mut ending {
            process.end_within(DRAIN_LIMIT.saturating_sub(start.elapsed()))?;
        }
        Ok(())
    }
}

/// A place for a lab on this machine, and what keeps others from taking the same until its networks are made.
fn choose(options: &Options, tell: &dyn Fn(&str)) -> Result<(Plan, File)> {
    let path = std::env::temp_dir().join("rookery-lab-slots.lock");
    let slots = File::options().create(true).truncate(false).write(true).open(&path);
    let slots = slots.with_context(|| format!("{} cannot be opened", path.display()))?;
    slots.lock()?;
    let obstacle = if options.loopback { Some("it was asked for".to_owned()) } else { network::obstacle() };
    let mode = match &obstacle {
        None => Mode::Namespaces,
        Some(why) => {
            tell(&format!(
                "NOTICE: regions are on loopback addresses ({why}): nothing is delayed or lost between them, and none can be \
                 cut off"
            ));
            Mode::Loopback
        }
    };
    for slot in 0..SLOTS {
        let plan = Plan::new(options, mode, slot)?;
        if is_free(&plan)? {
            return Ok((plan, slots));
        }
    }
    anyhow::bail!("this machine has {SLOTS} labs already, or uses the addresses of all of them")
}

fn is_free(plan: &Plan) -> Result<bool> {
    match plan.mode {
        Mode::Namespaces => {
            let names = plan.regions.iter().filter_map(|region| region.namespace.as_deref());
            Ok(!names.clone().any(network::exists) && !network::has_address_like(&plan.address_prefix())?)
        }
        Mode::Loopback => {
            let buses = plan.machines_of(Role::Bus);
            let mut sockets = buses.map(|(_, machine)| (machine.address, plan::port::NATS));
            Ok(sockets.all(|socket| std::net::TcpListener::bind(socket).is_ok()))
        }
    }
}

/// Removes what a former lab left for looking at.
fn remove_contents(folder: &Path) -> Result<()> {
    for name in CONTENTS {
        let path = folder.join(name);
        let removed = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(())
}
