//! The invariants: what each session is to be told, held against what its client got.

use std::collections::{BTreeMap, VecDeque};

use rookery_model::gateway::SubscriberId;

use crate::fact::{Fact, Source};

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Whoever may see an event and asked for it gets it.
    NoGap,
    /// Nobody gets an event twice.
    NoRepeat,
    /// Events of one stream come in its order.
    Order,
    /// Nobody sees what they may not at that point of the stream.
    Visibility,
    /// Content is hidden from those without the intent, and from nobody else.
    Content,
    /// An event says what the truth says.
    Truth,
    /// A client that does nothing but apply events holds the true state.
    State,
    /// Everybody catches up once nothing goes wrong any more.
    Liveness,
    /// No core fails by a mistake of its own.
    NoPanic,
}

impl rookery_test_seeds::Invariant for Invariant {
    const NO_PANIC: Self = Self::NoPanic;
}

/// An invariant that did not hold.
pub type Violation = rookery_test_seeds::Violation<Invariant>;

/// One stream of one session.
#[derive(Default)]
struct Stream {
    /// What is due, one group for each change; inside of a group any order will do.
    due: VecDeque<Vec<Fact>>,
    /// What was passed over: it comes late, or never.
    skipped: Vec<Fact>,
    /// As `skipped`, of what may never come.
    dropped: Vec<Fact>,
    got: Vec<Fact>,
}

/// What all sessions are to be told.
#[derive(Default)]
pub struct Check {
    sessions: BTreeMap<SubscriberId, BTreeMap<Source, Stream>>,
    violation: Option<Violation>,
    /// Events that came as they should.
    pub received: u64,
}

impl Check {
    /// Starts to watch a session.
    pub fn begin(&mut self, id: SubscriberId) {
        self.sessions.insert(id, BTreeMap::new());
    }

    /// The first thing that was wrong.
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Something is wrong; only the first is kept.
    pub fn violate(&mut self, invariant: Invariant, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| Violation { invariant, what: what.into() });
    }

    /// A session is to be told of a change.
    pub fn expect(&mut self, id: SubscriberId, source: Source, facts: Vec<Fact>) {
        if let Some(streams) = self.sessions.get_mut(&id).filter(|_| !facts.is_empty()) {
            streams.entry(source).or_default().due.push_back(facts);
        }
    }

    /// A client got an event.
    pub fn receive(&mut self, id: SubscriberId, source: Source, fact: Fact) {
        let Some(streams) = self.sessions.get_mut(&id) else { return };
        match streams.entry(source).or_default().take(fact) {
            Ok(()) => self.received += 1,
            Err((invariant, what)) => self.violate(invariant, format!("{id:?} {source:?}: {what}")),
        }
    }

    /// What a client got makes no sense to it. If it was passed over before, that is why.
    pub fn nonsense(&mut self, id: SubscriberId, source: Source, what: &str) {
        let stream = self.sessions.get(&id).and_then(|streams| streams.get(&source));
        match stream.and_then(|stream| stream.skipped.first()).cloned() {
            Some(fact) => self.violate(Invariant::NoGap, format!("{id:?} {source:?}: {what}, without {fact:?}")),
            None => self.violate(Invariant::State, format!("{id:?} {source:?}: {what}")),
        }
    }

    /// A session is over; what it was not told any more does not count.
    pub fn end(&mut self, id: SubscriberId) {
        let streams = self.sessions.remove(&id).unwrap_or_default();
        for (source, stream) in streams {
            if let Some(fact) = stream.skipped.first() {
                self.violate(Invariant::NoGap, format!("{id:?} {source:?} went on without {fact:?}"));
            }
        }
    }

    /// Whether a session was told everything.
    pub fn is_told(&self, id: SubscriberId) -> bool {
        self.sessions.get(&id).is_none_or(|streams| streams.values().all(Stream::is_told))
    }

    /// Everything was delivered that ever will be.
    pub fn close(&mut self) {
        let ids: Vec<SubscriberId> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id));
    }
}

impl Stream {
    fn is_told(&self) -> bool {
        self.skipped.is_empty() && self.due.iter().flatten().all(Fact::is_ephemeral)
    }

    fn take(&mut self, fact: Fact) -> Result<(), (Invariant, String)> {
        let place = |group: &Vec<Fact>| group.iter().position(|due| due.is_as_expected(&fact));
        let found = self.due.iter().enumerate().find_map(|(at, group)| place(group).map(|index| (at, index)));
        if let Some((at, index)) = found {
            for fact in self.due.drain(..at).flatten() {
                let passed = if fact.is_ephemeral() { &mut self.dropped } else { &mut self.skipped };
                passed.push(fact);
            }
            if let Some(group) = self.due.front_mut() {
                group.remove(index);
                if group.is_empty() {
                    self.due.pop_front();
                }
            }
            self.got.push(fact);
            return Ok(());
        }
        if self.skipped.iter().chain(&self.dropped).any(|due| due.is_as_expected(&fact)) {
            return Err((Invariant::Order, format!("came late: {fact:?}")));
        }
        if self.got.iter().any(|got| got.is_as_expected(&fact)) {
            return Err((Invariant::NoRepeat, format!("came again: {fact:?}")));
        }
        let other = self.due.iter().flatten().find(|due| due.is_about_the_same(&fact));
        Err(match (other, &fact) {
            (Some(Fact::Message(_, due)), Fact::Message(_, came))
                if due.content != came.content || due.referenced_content != came.referenced_content =>
            {
                (Invariant::Content, format!("{due:?} is due, {came:?} came"))
            }
            (Some(due), _) => (Invariant::Truth, format!("{due:?} is due, {fact:?} came")),
            (None, _) => (Invariant::Visibility, format!("not for this session: {fact:?}")),
        })
    }
}
