//! A deployment with people on it: set before a fault, taken down after it.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, stream};
use rookery_test_history::History;

use crate::deployment::{Deployment, Layout, NotHere, RegionLayout, Role, Target};
use crate::journal::{Journal, What};
use crate::listener::Audience;
use crate::load::{Load, last_words, read_all};
use crate::record::{Pages, Record};
use crate::scene::{Scene, Size};
use crate::verdict::{Verdict, milliseconds};

/// How long all clients may take to connect at first.
const CONNECT_PATIENCE: Duration = Duration::from_secs(180);
/// How long everybody may take to have their guild again when all is well again, and then to hear the last words.
const CONVERGE_PATIENCE: Duration = Duration::from_secs(60);
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// Channels that are read at once in the end.
const READ_AT_ONCE: usize = 8;
/// How long a process may try to start, over several attempts; a database may have to come up first.
const START_PATIENCE: Duration = Duration::from_secs(180);
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const HEALTH_PATIENCE: Duration = Duration::from_secs(60);
const LAST_WORDS: &str = "that was all";

/// How large a scenario is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub size: Size,
    /// Messages a second, over all guilds.
    pub per_second: f64,
    pub seed: u64,
    /// Messages that are acknowledged before, between and after faults.
    pub each: usize,
    /// How long clients stay with a gateway that does not answer, as in [`Audience::connect`].
    pub url_patience: Duration,
}

impl Plan {
    /// What fits a small machine.
    pub const fn small() -> Self {
        let size = Size { sessions: 100, guilds: 4, travellers_percent: 10 };
        Self { size, per_second: 20.0, seed: 1, each: 60, url_patience: Duration::from_secs(5) }
    }
}

/// A running scenario.
pub struct Stage<'a, D> {
    pub deployment: &'a mut D,
    pub layout: Arc<Layout>,
    pub scene: Arc<Scene>,
    pub audience: Audience,
    pub load: Load,
    pub verdict: Verdict,
    pub began: Instant,
    plan: Plan,
    failed_starts: HashMap<Target, usize>,
}

fn last_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().rev().find(|line| line.len() > 1).unwrap_or_default().chars().take(300).collect()
}

/// Says what a scenario is at.
pub fn tell(words: &str) {
    // Nobody to tell when this fails.
    let _ = std::io::stderr().write_all(format!("{words}\n").as_bytes());
}

impl<'a, D: Deployment> Stage<'a, D> {
    /// Makes guilds, connects everybody, and lets them talk until it is seen to work.
    pub async fn set(deployment: &'a mut D, scenario: &str, plan: Plan) -> anyhow::Result<Self> {
        let layout = Arc::new(deployment.layout().clone());
        tell(&format!("{scenario}: making {} guilds for {} sessions", plan.size.guilds, plan.size.sessions));
        let scene = Arc::new(Scene::set(&layout, plan.size).await.context("setting the scene")?);
        let connecting = Instant::now();
        let audience = Audience::connect(&layout, &scene, plan.url_patience);
        let late = audience.wait(CONNECT_PATIENCE, |number, journal| has_guild(&scene, number, journal)).await;
        if let Some(first) = late.first() {
            let journal = audience.journal(*first);
            bail!("{} sessions did not come up, the first is {first}: {journal:?}", late.len());
        }
        tell(&format!("{scenario}: {} sessions after {} ms", audience.len(), connecting.elapsed().as_millis()));
        let load = Load::start(&layout, &scene, plan.per_second, plan.seed);
        let mut verdict = Verdict::new(scenario);
        verdict.figure(
            "size",
            format!("{} sessions, {} guilds, {}/s", plan.size.sessions, plan.size.guilds, plan.per_second),
        );
        let stage = Self {
            deployment,
            layout,
            scene,
            audience,
            load,
            verdict,
            began: Instant::now(),
            plan,
            failed_starts: HashMap::new(),
        };
        if !stage.load.wait_for_more(&stage.all(), plan.each, CONNECT_PATIENCE).await {
            bail!("nobody gets a message through before anything was done");
        }
        Ok(stage)
    }

    /// Every region.
    pub fn all(&self) -> Vec<usize> {
        (0..self.layout.regions.len()).collect()
    }

    /// Every region but one.
    pub fn others(&self, region: usize) -> Vec<usize> {
        self.all().into_iter().filter(|other| *other != region).collect()
    }

    /// Says what the scenario is at.
    pub fn tell(&self, words: &str) {
        tell(&format!("  {} ms: {words}", self.began.elapsed().as_millis()));
    }

    /// Waits until so many more messages as the plan says are acknowledged in guilds of these homes.
    ///
    /// Whether they were in time; if not the verdict says so.
    pub async fn goes_on(&mut self, homes: &[usize], patience: Duration, when: &str) -> bool {
        let goes_on = self.load.wait_for_more(homes, self.plan.each, patience).await;
        let names: Vec<&str> = homes.iter().map(|region| self.layout.regions[*region].name.as_str()).collect();
        let broken = if goes_on { Vec::new() } else { vec![format!("not within {} s", patience.as_secs())] };
        self.verdict.check(&format!("messages go through in guilds of {} {when}", names.join(", ")), broken);
        goes_on
    }

    /// The processes of Rookery's own, nodes first.
    pub fn processes(&self) -> Vec<Target> {
        let regions = self.layout.regions.iter().enumerate();
        let nodes = regions.clone().flat_map(|(r, region)| (0..region.nodes.len()).map(move |i| Target::node(r, i)));
        let pops = regions.flat_map(|(r, region)| (0..region.pops.len()).map(move |i| Target::pop(r, i)));
        nodes.chain(pops).collect()
    }

    /// Starts a process as whatever watches over it does: when it ends before it is ready, again after a moment.
    pub async fn start(&mut self, target: Target) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            match self.deployment.start(target).await {
                Ok(()) => return self.becomes_ready(target).await,
                Err(error) if error.is::<NotHere>() || began.elapsed() > START_PATIENCE => return Err(error),
                Err(error) => {
                    *self.failed_starts.entry(target).or_default() += 1;
                    self.tell(&format!("{target} did not start: {}", last_line(&error)));
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
            }
        }
    }

    /// Waits until a process says that it wants work.
    pub async fn becomes_ready(&self, target: Target) -> anyhow::Result<()> {
        let region = &self.layout.regions[target.region];
        let operator = match target.role {
            Role::Node => &region.nodes[target.index].operator,
            Role::Pop => &region.pops[target.index].operator,
            Role::Database | Role::Bus => return Ok(()),
        };
        let http = rookery_tests::http_client();
        let mut poll = tokio::time::interval(Duration::from_millis(50));
        let began = Instant::now();
        loop {
            poll.tick().await;
            let asked = http.get(format!("{operator}/readyz")).timeout(Duration::from_secs(2)).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if began.elapsed() > HEALTH_PATIENCE {
                bail!("{target} is not ready; its log:\n{}", self.deployment.log(target));
            }
        }
    }

    /// Ends the load, lets everybody hear the last words, and reads what is stored.
    pub async fn take_down(self) -> (Record, Verdict) {
        self.tell("ending the load");
        let Self { layout, scene, audience, load, mut verdict, failed_starts, .. } = self;
        let left = audience.wait(CONVERGE_PATIENCE, |number, journal| has_guild(&scene, number, journal)).await;
        let left = left.iter().map(|number| format!("session {number}, {}", scene.members[*number].describe(&layout)));
        let all_there = format!("everybody has their guild again within {} s", CONVERGE_PATIENCE.as_secs());
        verdict.check(&all_there, left.collect());
        for (target, count) in failed_starts {
            verdict.figure(&format!("starts of {target} that came to nothing"), count);
        }
        let mut said = load.end().await;
        let words = last_words(&layout, &scene, &mut said, LAST_WORDS).await;
        let spoken: HashMap<u64, u64> = words.iter().filter_map(|(channel, id)| Some((*channel, (*id)?))).collect();
        let hears = |number: usize, journal: &Journal| {
            let member = &scene.members[number];
            spoken.iter().filter(|(channel, _)| scene.may_see(member, **channel)).all(|(_, id)| journal.has_heard(*id))
        };
        audience.wait(CONVERGE_PATIENCE, hears).await;
        let all: Vec<usize> = (0..layout.regions.len()).collect();
        let (stored, unread) = pages(&layout, &scene, &said.history, &all).await;
        let journals = audience.leave().await;
        (Record { layout, scene, journals, said, stored, unread, last_words: words }, verdict)
    }
}

/// What regions show now, each through its own point of presence, and which channels they do not.
pub async fn pages(layout: &Layout, scene: &Scene, history: &History, regions: &[usize]) -> (Vec<Pages>, Vec<String>) {
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    for region in regions {
        let RegionLayout { name, pops, .. } = &layout.regions[*region];
        let reads = scene.rooms.iter().flat_map(|room| {
            // A bot sees all channels of its guild.
            let bot = scene.members[room.members[0]].person.at(&pops[0].api);
            [room.open, room.hidden].map(|channel| {
                let bot = bot.clone();
                async move { (channel, read_all(history, *region, &bot, channel, READ_PATIENCE).await) }
            })
        });
        let reads: Vec<_> = stream::iter(reads).buffer_unordered(READ_AT_ONCE).collect().await;
        let mut pages = Pages::new();
        for (channel, read) in reads {
            match read {
                Ok(messages) => drop(pages.insert(channel, messages)),
                Err(error) => unread.push(format!("{name} cannot show channel {channel}: {error:#}")),
            }
        }
        all.push(pages);
    }
    (all, unread)
}

/// Whether a client has a session with its guild.
pub fn has_guild(scene: &Scene, number: usize, journal: &Journal) -> bool {
    let guild_id = scene.rooms[scene.members[number].room].guild_id;
    let Some(life) = journal.lives.last() else { return false };
    let newest = life.seen.iter().rev().find_map(|seen| match seen.what {
        What::Guild(id) if id == guild_id => Some(true),
        What::Away(id) if id == guild_id => Some(false),
        _ => None,
    });
    journal.is_connected() && newest == Some(true)
}

/// What must hold in every scenario; `excused` are messages that may be lost.
pub fn judge_always(record: &Record, verdict: &mut Verdict, excused: &HashSet<u64>) {
    verdict.check("every acknowledged message is in every region's history", record.not_stored(excused));
    verdict.check("all regions show the same", record.disagreements());
    record.said.history.may_be_lost(&excused.iter().map(|id| rookery_model::MessageId::new(*id)).collect());
    let report = record.said.history.check();
    let broken = report.as_ref().err().map(|report| report.violations.iter().map(ToString::to_string).collect());
    verdict.check("the history checker is clean", broken.unwrap_or_default());
    verdict.check("no event came twice to a session", record.repeated());
    verdict.check("no message came behind a later one of its channel", record.reordered());
    verdict.check("no message came to somebody who may not view its channel", record.leaked());
    verdict.check("what came is stored as it came", record.invented(excused));
    verdict.check("no session has a gap that it was not told of", record.untold_losses());
    verdict.check("servers kept to the protocol", record.offences());
    verdict.check("all sessions hear what is said last", record.not_converged());
    verdict.figure("attempts to say something", record.attempts());
    verdict.figure("sessions", record.returns());
    if let Ok(summary) = report {
        verdict.figure("history", format!("{summary:?}"));
    }
    if let Some((median, high)) = record.delivery_times() {
        verdict.figure("from POST to event", format!("median {}, p99 {}", milliseconds(median), milliseconds(high)));
    }
}
