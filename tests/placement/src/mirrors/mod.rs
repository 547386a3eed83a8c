//! Mirrors of one guild on virtual time: owners that follow each other, mirrors that follow them, people who lose
//! permissions and read all the same.
//!
//! That owners follow each other without overlap is what [`world`](crate::world) shows, and taken for granted here.

mod truth;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_placement::NodeId;
use rookery_placement::mirror::{Follow, Mirror, MirrorEvent, MirrorTimings, Source, SourceEvent, ToMirror, Watermark};

use crate::actions::Action;
use crate::check::{Check, Invariant, Violation};
use crate::clock::Clock;
use crate::plant::Plant;
use crate::queue::Queue;
use crate::weather::{happens, pick};
use truth::{Change, State, Truth};

/// After the end of all faults mirrors answer within this time.
const CALM_MS: u64 = 4_000;
const READ_INTERVAL_MS: u64 = 7;

/// Something that happens at its time.
enum Job {
    ToSource { owner: usize, follow: Follow },
    ToMirror { mirror: usize, node: NodeId, message: ToMirror<Change> },
    Snapshot { mirror: usize, node: NodeId, at: Watermark, state: State },
    MirrorTimer { mirror: usize, node: NodeId },
    SourceTimer(usize),
    NextOwner,
    Write,
    Read,
    Act(usize),
    Healed { mirror: usize },
    End,
    Look,
}

/// A process that owns the guild, or did.
struct Owner {
    clock: Clock,
    source: Source<Change>,
    epoch: u64,
    /// From then on another may own the guild; by true time.
    until_ms: Option<u64>,
    timer_ms: Option<u64>,
    /// The version of the state at which its stream began.
    begins_at: u64,
}

/// A node that has a copy.
struct Follower {
    clock: Clock,
    node: NodeId,
    mirror: Mirror<Change>,
    copy: State,
    /// Of the copy.
    version: u64,
    /// Changes that a mirror of [`Plant::ConfirmedBeforeApplied`] has not applied yet.
    late: Vec<Change>,
    paused_until_ms: u64,
    is_cut_off: bool,
    timer_ms: Option<u64>,
}

rookery_test_seeds::tally! {
    /// How often things happened.
    pub struct Counts {
        reads,
        forwarded,
        writes,
        acknowledged,
        owners,
        snapshots,
        restarted,
        paused,
        cut_off,
    }
}

/// Everything there is.
pub struct Mirrors {
    now_ms: u64,
    rng: ChaCha8Rng,
    plant: Plant,
    queue: Queue<Job>,
    timings: MirrorTimings,
    truth: Truth,
    check: Check,
    counts: Counts,
    owners: Vec<Owner>,
    followers: Vec<Follower>,
    actions: Vec<Action>,
    link_ms_max: u64,
    dropped: u32,
    repeated: u32,
    write_ms: u64,
    ends_ms: Option<u64>,
    is_over: bool,
    trace: Option<Vec<String>>,
}

fn clock(rng: &mut ChaCha8Rng) -> Clock {
    let drift_ppm = rng.random_range(-500..=500);
    Clock { begin_ms: rng.random_range(1_000_000..1_000_000_000), drift_ppm, ahead_us: 0 }
}

fn node(number: usize, incarnation: u64) -> NodeId {
    NodeId::from_row((incarnation << 10) | number as u64).expect("an incarnation that is not 0")
}

impl rookery_test_seeds::World for Mirrors {
    type Plant = Plant;
    type Action = Action;
    type Counts = Counts;
    type Invariant = Invariant;

    fn new(seed: u64, plant: Plant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let timings = MirrorTimings { ring_max: *pick(&mut rng, &[2, 20, 256]), ..MirrorTimings::default() };
        let followers = (0..rng.random_range(1..=4)).map(|number| {
            let clock = clock(&mut rng);
            let node = node(number, 1);
            let mirror = Mirror::new(node, timings.clone(), clock.now(0).monotonic_ms);
            Follower {
                clock,
                node,
                mirror,
                copy: State::default(),
                version: 0,
                late: Vec::new(),
                paused_until_ms: 0,
                is_cut_off: false,
                timer_ms: None,
            }
        });
        let followers = followers.collect();
        let pace = *pick(&mut rng, &[&[100, 1_000][..], &[500, 3_000, 6_000]]);
        let actions = (0..rng.random_range(5..=25))
            .map(|_| Action { after_ms: *pick(&mut rng, pace), seed: rng.random() })
            .collect();
        Self {
            now_ms: 0,
            plant,
            queue: Queue::default(),
            timings,
            truth: Truth::default(),
            check: Check::default(),
            counts: Counts::default(),
            owners: Vec::new(),
            followers,
            actions,
            link_ms_max: *pick(&mut rng, &[3, 80, 600]),
            dropped: *pick(&mut rng, &[0, 50, 400]),
            repeated: *pick(&mut rng, &[0, 100]),
            write_ms: *pick(&mut rng, &[15, 200, 1_500]),
            ends_ms: None,
            is_over: false,
            trace: None,
            rng,
        }
    }

    fn actions(&self) -> &[Action] {
        &self.actions
    }

    fn set_actions(&mut self, actions: Vec<Action>) {
        self.actions = actions;
    }

    fn keep_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    fn run(&mut self) -> Result<Counts, Violation> {
        for (at_ms, job) in [(0, Job::NextOwner), (1, Job::Write), (1, Job::Read), (1_000, Job::Act(0)), (1, Job::Look)]
        {
            self.queue.at(at_ms, job);
        }
        for mirror in 0..self.followers.len() {
            self.settle_mirror(mirror);
        }
        while !self.is_over
            && let Some((at_ms, job)) = self.queue.pop()
        {
            self.now_ms = self.now_ms.max(at_ms);
            self.happen(job);
            if let Some(violation) = self.check.violation() {
                return Err(violation.clone());
            }
        }
        self.counts.acknowledged = self.truth.acknowledged;
        Ok(self.counts)
    }
}

impl Mirrors {
    fn note(&mut self, line: impl FnOnce() -> String) {
        let now_ms = self.now_ms;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now_ms:>7} {}", line()));
        }
    }

    fn happen(&mut self, job: Job) {
        let addressee = match &job {
            Job::ToMirror { mirror, node, .. }
            | Job::Snapshot { mirror, node, .. }
            | Job::MirrorTimer { mirror, node } => Some((*mirror, *node)),
            _ => None,
        };
        if let Some((mirror, node)) = addressee {
            let follower = &self.followers[mirror];
            if follower.node != node {
                return;
            }
            if follower.paused_until_ms > self.now_ms {
                return self.queue.at(follower.paused_until_ms, job);
            }
        }
        match job {
            Job::ToSource { owner, follow } => self.follow(owner, &follow),
            Job::ToMirror { mirror, message, .. } => self.hear(mirror, message),
            Job::Snapshot { mirror, at, state, .. } => self.snapshot(mirror, at, state),
            Job::MirrorTimer { mirror, .. } => {
                self.followers[mirror].timer_ms = None;
                let now_ms = self.mirror_ms(mirror);
                self.followers[mirror].mirror.handle_timeout(now_ms);
                self.settle_mirror(mirror);
            }
            Job::SourceTimer(owner) => {
                self.owners[owner].timer_ms = None;
                if self.is_owner(owner) {
                    let now_ms = self.owners[owner].clock.now(self.now_ms).monotonic_ms;
                    self.owners[owner].source.handle_timeout(now_ms);
                    self.settle_source(owner);
                }
            }
            Job::NextOwner => self.next_owner(),
            Job::Write => self.write(),
            Job::Read => self.read(),
            Job::Act(number) => self.act(number),
            Job::Healed { mirror } => self.followers[mirror].is_cut_off = false,
            Job::End => {
                self.note(|| "END".into());
                (self.link_ms_max, self.dropped, self.repeated) = (20, 0, 0);
                self.followers.iter_mut().for_each(|follower| follower.is_cut_off = false);
                self.ends_ms = Some(self.now_ms);
            }
            Job::Look => self.look(),
        }
    }

    fn mirror_ms(&self, mirror: usize) -> u64 {
        self.followers[mirror].clock.now(self.now_ms).monotonic_ms
    }

    /// Whether a process may act as the owner, as its placement says.
    fn is_owner(&self, owner: usize) -> bool {
        self.owners[owner].until_ms.is_none_or(|until_ms| self.now_ms < until_ms)
    }

    fn next_owner(&mut self) {
        let epoch = self.owners.len() as u64 + 1;
        let clock = clock(&mut self.rng);
        let mut now_ms = clock.now(self.now_ms).monotonic_ms;
        if self.plant == Plant::MirrorsOfBeforeForgotten {
            // As if it had been the owner for long.
            now_ms -= self.timings.lease_ms + self.timings.slack_ms;
        }
        let source = Source::new(epoch, self.timings.clone(), now_ms);
        self.note(|| format!("OWNER {epoch}"));
        self.counts.owners += 1;
        let begins_at = self.truth.version();
        self.owners.push(Owner { clock, source, epoch, until_ms: None, timer_ms: None, begins_at });
    }

    fn follow(&mut self, owner: usize, follow: &Follow) {
        if !self.is_owner(owner) && self.plant != Plant::GrantsOfThePast {
            return;
        }
        let now_ms = self.owners[owner].clock.now(self.now_ms).monotonic_ms;
        self.owners[owner].source.handle_follow(now_ms, follow);
        self.settle_source(owner);
    }

    fn settle_source(&mut self, owner: usize) {
        while let Some(event) = self.owners[owner].source.poll_event() {
            let Owner { epoch, begins_at, .. } = self.owners[owner];
            match event {
                SourceEvent::Send { to, message } => {
                    self.note(|| format!("o{epoch} to {to:?}: {message:?}"));
                    let mirror = usize::from(to.worker_id());
                    self.deliver(mirror, |_| Job::ToMirror { mirror, node: to, message: message.clone() });
                }
                SourceEvent::SendSnapshot { to } => {
                    self.counts.snapshots += 1;
                    let at = self.owners[owner].source.tail();
                    let is_stale = self.plant == Plant::StaleSnapshots && self.rng.random_ratio(1, 4);
                    let version = (begins_at + at.seq).saturating_sub(3 * u64::from(is_stale));
                    let state = self.truth.at(version);
                    self.note(|| format!("o{epoch} snapshot for {to:?} at {at:?}"));
                    let mirror = usize::from(to.worker_id());
                    self.deliver(mirror, |_| Job::Snapshot { mirror, node: to, at, state });
                }
                SourceEvent::Acknowledge { seq } => {
                    self.note(|| format!("o{epoch} acknowledges {seq}"));
                    self.truth.acknowledge(begins_at + seq, self.now_ms);
                }
            }
        }
        let owner_ = &mut self.owners[owner];
        let due_ms = owner_.source.poll_timeout().map(|due_ms| owner_.clock.time_ms(due_ms).max(self.now_ms));
        if let Some(at_ms) = due_ms.filter(|at_ms| owner_.timer_ms.is_none_or(|timer_ms| timer_ms > *at_ms)) {
            owner_.timer_ms = Some(at_ms);
            self.queue.at(at_ms, Job::SourceTimer(owner));
        }
    }

    /// Sends something to or from a mirror, if it gets there.
    fn deliver(&mut self, mirror: usize, job: impl Fn(u64) -> Job) {
        if self.followers[mirror].is_cut_off || happens(&mut self.rng, self.dropped) {
            return;
        }
        for copy in 0..1 + u64::from(happens(&mut self.rng, self.repeated)) {
            let delay_ms = self.rng.random_range(0..=self.link_ms_max);
            self.queue.at(self.now_ms + delay_ms, job(copy));
        }
    }

    fn hear(&mut self, mirror: usize, message: ToMirror<Change>) {
        let now_ms = self.mirror_ms(mirror);
        let message = match message {
            ToMirror::Grant { tail, lease_ms, .. } if self.plant == Plant::LeaseFromArrival => {
                ToMirror::Grant { tail, echo_ms: now_ms, lease_ms }
            }
            message => message,
        };
        self.followers[mirror].mirror.handle_message(now_ms, message);
        self.settle_mirror(mirror);
    }

    fn snapshot(&mut self, mirror: usize, at: Watermark, state: State) {
        let now_ms = self.mirror_ms(mirror);
        let version = self.version(at);
        let follower = &mut self.followers[mirror];
        if follower.mirror.handle_snapshot(now_ms, at) {
            follower.copy = state;
            follower.version = version;
            follower.late.clear();
        }
        self.settle_mirror(mirror);
    }

    /// Which version of the state a place in the stream is.
    fn version(&self, at: Watermark) -> u64 {
        let owner = self.owners.iter().find(|owner| owner.epoch == at.epoch);
        owner.map_or(0, |owner| owner.begins_at + at.seq)
    }

    fn settle_mirror(&mut self, mirror: usize) {
        while let Some(event) = self.followers[mirror].mirror.poll_event() {
            match event {
                MirrorEvent::Apply(change) => {
                    let follower = &mut self.followers[mirror];
                    follower.late.push(change);
                    let lags = usize::from(self.plant == Plant::ConfirmedBeforeApplied) * 2;
                    while follower.late.len() > lags {
                        let change = follower.late.remove(0);
                        follower.copy.apply(change);
                        follower.version += 1;
                    }
                }
                MirrorEvent::Send(follow) => {
                    // To whom the mirror thinks the owner; now and then that is one of the past.
                    let latest = self.owners.len().checked_sub(1);
                    let back = usize::from(self.ends_ms.is_none() && self.rng.random_ratio(1, 8));
                    if let Some(owner) = latest.map(|latest| latest.saturating_sub(back)) {
                        self.deliver(mirror, |_| Job::ToSource { owner, follow });
                    }
                }
            }
        }
        let follower = &mut self.followers[mirror];
        let at_ms = follower.clock.time_ms(follower.mirror.poll_timeout()).max(self.now_ms + 1);
        if follower.timer_ms.is_none_or(|timer_ms| timer_ms > at_ms) {
            follower.timer_ms = Some(at_ms);
            self.queue.at(at_ms, Job::MirrorTimer { mirror, node: follower.node });
        }
    }

    fn write(&mut self) {
        let pause_ms = self.rng.random_range(1..=self.write_ms * 2);
        self.queue.at(self.now_ms + pause_ms, Job::Write);
        let Some(owner) = self.owners.len().checked_sub(1).filter(|owner| self.is_owner(*owner)) else { return };
        let change = Change::any(&mut self.rng);
        let is_revocation = !change.is_grant;
        let now_ms = self.owners[owner].clock.now(self.now_ms).monotonic_ms;
        if let Ok(at) = self.owners[owner].source.change(now_ms, change, is_revocation) {
            self.counts.writes += 1;
            let version = self.truth.change(change, self.now_ms);
            let epoch = self.owners[owner].epoch;
            self.note(|| format!("o{epoch} {change:?} at {at:?}, version {version}"));
            if self.version(at) != version {
                self.check.violate(Invariant::TrueCopies, format!("{at:?} is not version {version}"));
            }
        }
        self.settle_source(owner);
    }

    fn read(&mut self) {
        self.queue.at(self.now_ms + READ_INTERVAL_MS, Job::Read);
        let mirror = self.rng.random_range(0..self.followers.len());
        // Somebody who wrote just before, or who did not.
        let wrote = self.owners.last().map(|owner| owner.source.tail()).filter(|_| self.rng.random_bool(0.3));
        let follower = &self.followers[mirror];
        if follower.paused_until_ms > self.now_ms {
            return;
        }
        let Ok(at) = follower.mirror.read(self.mirror_ms(mirror), wrote) else {
            self.counts.forwarded += 1;
            return;
        };
        self.counts.reads += 1;
        let (copy, version) = (follower.copy, follower.version);
        if wrote.is_some_and(|wrote| at < wrote || version < self.version(wrote)) {
            self.check.violate(Invariant::OwnWrites, format!("m{mirror} answers from {at:?} who wrote {wrote:?}"));
        }
        if let Some(revoked) = self.truth.revoked_before_now(copy, version) {
            let what = format!("m{mirror} at version {version} lets somebody who lost that by {revoked}");
            self.check.violate(Invariant::NoReadOfTheRevoked, what);
        }
        if self.truth.at(version) != copy || version != self.version(at) {
            let what = format!("m{mirror} has {copy:?} at version {version}, {at:?}: {:?}", self.truth.at(version));
            self.check.violate(Invariant::TrueCopies, what);
        }
    }

    fn act(&mut self, number: usize) {
        let Some(action) = self.actions.get(number).copied() else {
            let paused = self.followers.iter().map(|follower| follower.paused_until_ms).max().unwrap_or(0);
            return self.queue.at(paused.max(self.now_ms + 15_000), Job::End);
        };
        let mut rng = ChaCha8Rng::seed_from_u64(action.seed);
        let mirror = rng.random_range(0..self.followers.len());
        let ms = *pick(&mut rng, &[200, 1_000, 2_900, 3_300, 8_000]);
        match rng.random_range(0..10) {
            0..4 => self.change_owner(*pick(&mut rng, &[0, 1, 300, 4_000])),
            4..7 => {
                self.note(|| format!("PAUSE m{mirror} {ms}"));
                self.counts.paused += 1;
                let stands_still = self.plant == Plant::ClockStandsStill;
                let follower = &mut self.followers[mirror];
                follower.paused_until_ms = follower.paused_until_ms.max(self.now_ms + ms);
                if stands_still {
                    follower.clock.begin_ms -= ms;
                }
            }
            7..9 => {
                self.note(|| format!("CUT m{mirror} {ms}"));
                self.counts.cut_off += 1;
                self.followers[mirror].is_cut_off = true;
                self.queue.at(self.now_ms + ms, Job::Healed { mirror });
            }
            _ => self.restart(mirror),
        }
        let after_ms = self.actions.get(number + 1).map_or(500, |next| next.after_ms);
        self.queue.at(self.now_ms + after_ms, Job::Act(number + 1));
    }

    fn change_owner(&mut self, gap_ms: u64) {
        if let Some(owner) = self.owners.last_mut().filter(|owner| owner.until_ms.is_none()) {
            owner.until_ms = Some(self.now_ms);
            self.truth.owner_ended();
            self.queue.at(self.now_ms + gap_ms, Job::NextOwner);
        }
    }

    fn restart(&mut self, mirror: usize) {
        self.counts.restarted += 1;
        let now_ms = self.mirror_ms(mirror);
        let follower = &mut self.followers[mirror];
        follower.node = node(mirror, u64::from(follower.node.incarnation()) + 1);
        follower.mirror = Mirror::new(follower.node, self.timings.clone(), now_ms);
        (follower.copy, follower.version, follower.paused_until_ms, follower.timer_ms) = (State::default(), 0, 0, None);
        follower.late.clear();
        self.settle_mirror(mirror);
    }

    /// Looks whether what was taken away is acknowledged in time, and whether mirrors answer in the end.
    fn look(&mut self) {
        self.queue.at(self.now_ms + 100, Job::Look);
        let MirrorTimings { lease_ms, slack_ms, patience_ms, .. } = self.timings;
        // With one more lease for those that were granted one just before patience ended, or by an owner before.
        let allowed_ms = lease_ms + slack_ms + patience_ms + 200;
        if let Some((version, since_ms)) = self.truth.oldest_unacknowledged()
            && self.now_ms > since_ms + allowed_ms
        {
            let what = format!("version {version} is not acknowledged after {} ms", self.now_ms - since_ms);
            self.check.violate(Invariant::MirrorsInTime, what);
        }
        let Some(ends_ms) = self.ends_ms.filter(|ends_ms| self.now_ms > ends_ms + CALM_MS) else { return };
        self.is_over = self.now_ms > ends_ms + CALM_MS + 500;
        for mirror in 0..self.followers.len() {
            let answer = self.followers[mirror].mirror.read(self.mirror_ms(mirror), None);
            // Just behind is no fault.
            if answer.is_err_and(|reason| reason == rookery_placement::mirror::NotHere::Lease) {
                self.check.violate(Invariant::MirrorsInTime, format!("m{mirror} does not answer"));
            }
        }
    }
}
