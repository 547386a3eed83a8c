//! What changed in a guild since somebody looked last: audiences and member lists follow it instead of being made anew.

use rookery_model::{ChannelId, UserId};

/// Entries that are told apart; beyond, everything counts as changed.
const ENTRIES_MAX: usize = 256;

/// Something that others must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Who sees what by a member's roles or by being a member or owner: for this member alone.
    Member(UserId),
    /// A member's name or what else is shown of them.
    Shown(UserId),
    /// The overwrites of a channel that may be new or gone.
    Channel(ChannelId),
    /// What a role gives.
    Permissions,
    /// A role is gone, and with it out of the roles of its members.
    RoleGone,
    /// Which roles are hoisted, and in which order.
    Order,
}

/// Notes for one reader, in order.
#[derive(Debug, Default)]
pub(crate) struct Journal(Vec<Note>);

impl Journal {
    pub fn note(&mut self, note: Note) {
        if self.0.last() == Some(&note) {
            return;
        }
        if self.0.len() >= ENTRIES_MAX {
            // Whoever reads these two looks at everything.
            self.0 = vec![Note::RoleGone, Note::Order];
        } else {
            self.0.push(note);
        }
    }
    /// All notes since the last time.
    pub fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.0)
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
