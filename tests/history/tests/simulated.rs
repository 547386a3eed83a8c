//! A store in a few lines, with clients whose operations overlap: right, it passes; with a bug in it, it does not.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rookery_model::store::UniqueKey;
use rookery_model::{ChannelId, MessageId};
use rookery_test_history::{Client, History, PendingClaim, PendingRead, PendingWrite, ViolationKind, Window};

const CHANNEL: ChannelId = ChannelId::new(5);

/// What becomes of an operation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    Failed,
    UnknownApplied,
    UnknownLost,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put {
        client: u64,
        message: u64,
        fate: Fate,
    },
    Delete {
        client: u64,
        message: u64,
        fate: Fate,
    },
    Read {
        client: u64,
        window: Window,
        limit: usize,
    },
    Claim {
        client: u64,
        owner: u64,
        fate: Fate,
    },
    /// Something on its way goes one step on.
    Advance(usize),
}

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    AcknowledgesWithoutApplying,
    ForgetsDeletes,
    ReadsBehind,
    SwapsRows,
    LetsSecondClaimWin,
    AppliesFailed,
}

enum Stage {
    Write { message: u64, content: Option<String>, at: u64, fate: Fate, note: Option<PendingWrite> },
    Read { window: Window, limit: usize, page: Option<Vec<(MessageId, String)>>, note: PendingRead },
    Claim { owner: u64, fate: Fate, note: Option<PendingClaim> },
}

#[derive(Clone, Default)]
struct Rows {
    /// When it was submitted, and the content, none if deleted: the last write by that moment wins.
    messages: BTreeMap<u64, (u64, Option<String>)>,
    holder: Option<u64>,
}

impl Rows {
    fn page(&self, window: Window, limit: usize) -> Vec<(MessageId, String)> {
        let rows = self.messages.iter().filter_map(|(id, (_, content))| Some((MessageId::new(*id), content.clone()?)));
        let inside = |id: MessageId| match window {
            Window::Latest => true,
            Window::Before(end) => id < end,
            Window::After(begin) => id > begin,
            Window::One(one) => id == one,
        };
        let mut page: Vec<_> = rows.filter(|(id, _)| inside(*id)).collect();
        if !matches!(window, Window::After(_)) {
            page.reverse();
        }
        page.truncate(limit);
        page.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        page
    }
}

struct Simulation {
    bug: Bug,
    history: History,
    rows: Rows,
    /// As the rows were before the last write.
    behind: Rows,
    on_the_way: Vec<Stage>,
    submitted: u64,
}

fn run(bug: Bug, steps: &[Step]) -> History {
    let mut simulation = Simulation {
        bug,
        history: History::new(),
        rows: Rows::default(),
        behind: Rows::default(),
        on_the_way: Vec::new(),
        submitted: 0,
    };
    steps.iter().for_each(|step| simulation.step(*step));
    while !simulation.on_the_way.is_empty() {
        simulation.advance(0);
    }
    simulation.history
}

impl Simulation {
    fn step(&mut self, step: Step) {
        let history = self.history.clone();
        let stage = match step {
            Step::Put { client, message, fate } => {
                let content = format!("text {}", self.submitted);
                let note = history.put(Client(client), CHANNEL, MessageId::new(message), content.clone());
                self.write(message, Some(content), fate, note)
            }
            Step::Delete { client, message, fate } => {
                let note = history.delete(Client(client), CHANNEL, MessageId::new(message));
                self.write(message, None, fate, note)
            }
            Step::Read { client, window, limit } => {
                Stage::Read { window, limit, page: None, note: history.read(Client(client), CHANNEL, window, limit) }
            }
            Step::Claim { client, owner, fate } => {
                let note = history.claim(Client(client), UniqueKey::Username("ada".into()), owner);
                Stage::Claim { owner, fate, note: Some(note) }
            }
            Step::Advance(which) => return self.advance(which),
        };
        self.on_the_way.push(stage);
    }

    fn write(&mut self, message: u64, content: Option<String>, fate: Fate, note: PendingWrite) -> Stage {
        self.submitted += 1;
        Stage::Write { message, content, at: self.submitted, fate, note: Some(note) }
    }

    fn advance(&mut self, which: usize) {
        if self.on_the_way.is_empty() {
            return;
        }
        let which = which % self.on_the_way.len();
        let stage = self.on_the_way.remove(which);
        let next = match stage {
            Stage::Write { message, content, at, fate, note } => self.advance_write(message, content, at, fate, note),
            Stage::Read { window, limit, page: None, note } => {
                let rows = if self.bug == Bug::ReadsBehind { &self.behind } else { &self.rows };
                let mut page = rows.page(window, limit);
                if self.bug == Bug::SwapsRows {
                    page.reverse();
                }
                Some(Stage::Read { window, limit, page: Some(page), note })
            }
            Stage::Read { page: Some(page), note, .. } => {
                note.page(page);
                None
            }
            Stage::Claim { owner, fate, note } => self.advance_claim(owner, fate, note),
        };
        if let Some(next) = next {
            self.on_the_way.insert(which, next);
        }
    }

    /// A fine write is applied, then acknowledged; one of unknown outcome is applied after its caller gave up.
    fn advance_write(
        &mut self,
        message: u64,
        content: Option<String>,
        at: u64,
        fate: Fate,
        note: Option<PendingWrite>,
    ) -> Option<Stage> {
        match (fate, note) {
            (Fate::Fine, Some(note)) => {
                self.apply(message, content, at);
                note.ok();
                None
            }
            (Fate::Failed, Some(note)) => {
                if self.bug == Bug::AppliesFailed {
                    self.apply(message, content, at);
                }
                note.failed();
                None
            }
            (Fate::UnknownApplied, Some(note)) => {
                note.unknown();
                Some(Stage::Write { message, content, at, fate, note: None })
            }
            (Fate::UnknownLost, Some(note)) => {
                note.unknown();
                None
            }
            (_, None) => {
                self.apply(message, content, at);
                None
            }
        }
    }

    fn apply(&mut self, message: u64, content: Option<String>, at: u64) {
        self.behind = self.rows.clone();
        let deletes = content.is_none();
        let lost = self.bug == Bug::AcknowledgesWithoutApplying && at.is_multiple_of(5);
        if lost || deletes && self.bug == Bug::ForgetsDeletes {
            return;
        }
        let row = self.rows.messages.entry(message).or_default();
        if row.0 < at {
            *row = (at, content);
        }
    }

    fn advance_claim(&mut self, owner: u64, fate: Fate, note: Option<PendingClaim>) -> Option<Stage> {
        let mut claim = || {
            let free = self.rows.holder.is_none() || self.bug == Bug::LetsSecondClaimWin;
            if free {
                self.rows.holder = Some(owner);
            }
            self.rows.holder.unwrap()
        };
        match (fate, note) {
            (Fate::Fine, Some(note)) => match claim() {
                holder if holder == owner => note.won(),
                holder => note.lost(holder),
            },
            (Fate::Failed, Some(note)) => note.failed(),
            (Fate::UnknownLost, Some(note)) => note.unknown(),
            (Fate::UnknownApplied, Some(note)) => {
                note.unknown();
                return Some(Stage::Claim { owner, fate, note: None });
            }
            (_, None) => drop(claim()),
        }
        None
    }
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Fine), 1 => Just(Fate::Failed), 1 => Just(Fate::UnknownApplied), 1 => Just(Fate::UnknownLost)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let message = || 1_u64..8;
    let windows = prop_oneof![
        3 => Just(Window::Latest),
        1 => message().prop_map(|id| Window::Before(MessageId::new(id))),
        1 => message().prop_map(|id| Window::After(MessageId::new(id))),
        1 => message().prop_map(|id| Window::One(MessageId::new(id))),
    ];
    let step = prop_oneof![
        4 => (1_u64..4, message(), fates()).prop_map(|(client, message, fate)| Step::Put { client, message, fate }),
        2 => (1_u64..4, message(), fates()).prop_map(|(client, message, fate)| Step::Delete { client, message, fate }),
        4 => (1_u64..4, windows, 1_usize..9).prop_map(|(client, window, limit)| Step::Read { client, window, limit }),
        1 => (1_u64..4, fates()).prop_map(|(owner, fate)| Step::Claim { client: owner, owner, fate }),
        12 => any::<usize>().prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn right_histories_pass(steps in steps()) {
        if let Err(report) = run(Bug::None, &steps).check() {
            prop_assert!(false, "{report}");
        }
    }
}

#[test]
fn each_bug_is_found() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let histories: Vec<Vec<Step>> =
        (0..200).map(|_| proptest::strategy::ValueTree::current(&steps().new_tree(&mut runner).unwrap())).collect();
    let found = |bug| {
        let mut kinds: BTreeMap<ViolationKind, usize> = BTreeMap::new();
        for steps in &histories {
            for violation in run(bug, steps).check().err().into_iter().flat_map(|report| report.violations) {
                *kinds.entry(violation.kind).or_default() += 1;
            }
        }
        kinds
    };
    assert_eq!(found(Bug::None), BTreeMap::new());
    for (bug, kinds) in [
        (Bug::AcknowledgesWithoutApplying, &[ViolationKind::LostWrite, ViolationKind::StaleRead][..]),
        (Bug::ForgetsDeletes, &[ViolationKind::ResurrectedDelete]),
        (Bug::ReadsBehind, &[ViolationKind::StaleAfterOwnWrite, ViolationKind::LostWrite]),
        (Bug::SwapsRows, &[ViolationKind::OutOfOrder]),
        (Bug::LetsSecondClaimWin, &[ViolationKind::SeveralHolders]),
        (Bug::AppliesFailed, &[ViolationKind::FailedWriteVisible]),
    ] {
        let found = found(bug);
        assert!(kinds.iter().all(|kind| found.contains_key(kind)), "{bug:?}: {found:?}");
    }
}
