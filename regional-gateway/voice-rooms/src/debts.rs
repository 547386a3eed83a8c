//! What voice nodes are to forget: said until it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery_model::voice::RoomCommand;
use rookery_model::{UserId, VoiceServerId};

/// What of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Debt {
    /// All that it has from here, of a lower revision.
    Everything,
    /// A member who is elsewhere now.
    Member(VoiceServerId, UserId),
}

/// By node; each with its revision and when it is said again.
#[derive(Debug, Default)]
pub struct Debts {
    open: BTreeMap<(Arc<str>, Debt), (u64, u64)>,
}

impl Debts {
    /// Something to be forgotten, said at once.
    pub fn owe(&mut self, node: &Arc<str>, debt: Debt, revision: u64, due_ms: u64) -> RoomCommand {
        self.open.insert((node.clone(), debt), (revision, due_ms));
        command(debt, revision)
    }

    /// A node answered: what it was to forget up to this revision it has forgotten.
    pub fn done(&mut self, node: &str, debt: Debt, revision: u64) {
        let is_done =
            |key: &(Arc<str>, Debt), open: &(u64, u64)| *key.0 == *node && key.1 == debt && open.0 <= revision;
        self.open.retain(|key, open| !is_done(key, open));
    }

    /// A node is not there any more, or knows nothing any more.
    pub fn forgive(&mut self, node: &str) {
        self.open.retain(|(name, _), _| **name != *node);
    }

    /// A member goes back to a node: what is said of them now counts.
    pub fn forgive_member(&mut self, node: &Arc<str>, server_id: VoiceServerId, user_id: UserId) {
        self.open.remove(&(node.clone(), Debt::Member(server_id, user_id)));
    }

    /// When the first is said again. There are few: what was there when a node drained.
    pub fn due_ms(&self) -> Option<u64> {
        self.open.values().map(|(_, due_ms)| *due_ms).min()
    }

    /// Those that are due, to be said again at `next_ms`.
    pub fn say_again(&mut self, now_ms: u64, next_ms: u64) -> Vec<(Arc<str>, RoomCommand)> {
        let due = self.open.iter_mut().filter(|(_, (_, due_ms))| *due_ms <= now_ms);
        due.map(|((node, debt), (revision, due_ms))| {
            *due_ms = next_ms;
            (node.clone(), command(*debt, *revision))
        })
        .collect()
    }
}

fn command(debt: Debt, revision: u64) -> RoomCommand {
    match debt {
        Debt::Everything => RoomCommand::Clear { revision },
        Debt::Member(server_id, user_id) => RoomCommand::Expel { server_id, user_id, revision },
    }
}
