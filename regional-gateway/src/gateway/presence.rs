//! What a session's task tells the owner of its user: whether it is connected, and what it says of the user's presence.

use rookery_model::gateway::PresenceUpdate;

use super::registry::SessionHandle;
use crate::owners::{Owners, SessionLink};

/// What was told, and what waits until the owner knows the session.
#[derive(Default)]
pub struct SessionPresence {
    /// READY came: from then on the owner knows it.
    is_known: bool,
    is_detached: bool,
    waiting: Option<Box<PresenceUpdate>>,
    /// What the client said last, if it said anything since IDENTIFY.
    newest: Option<Box<PresenceUpdate>>,
}

impl SessionPresence {
    /// Of a session of the process before, which waits for RESUME.
    pub fn taken_up() -> Self {
        Self { is_known: true, is_detached: true, ..Self::default() }
    }

    /// Whether READY came.
    pub const fn is_known(&self) -> bool {
        self.is_known
    }

    /// What the client said last; none if it said nothing since IDENTIFY.
    pub fn newest(&self) -> Option<&PresenceUpdate> {
        self.newest.as_deref()
    }

    /// Takes PRESENCE_UPDATE of the client.
    pub fn update(&mut self, owners: &Owners, session: &SessionHandle, update: PresenceUpdate) {
        self.newest = Some(Box::new(update.clone()));
        if self.is_known {
            owners.session_says(session, update);
        } else {
            self.waiting = Some(Box::new(update));
        }
    }

    /// READY came.
    pub fn started(&mut self, owners: &Owners, session: &SessionHandle) {
        self.is_known = true;
        if let Some(update) = self.waiting.take() {
            owners.session_says(session, *update);
        }
    }

    /// Tells of a connection that is gone or is there again; to be called after anything that may have changed it.
    pub fn note_link(&mut self, owners: &Owners, session: &SessionHandle, is_attached: bool) {
        if self.is_known && self.is_detached == is_attached {
            self.is_detached = !is_attached;
            owners.session_is(session, if is_attached { SessionLink::Attached } else { SessionLink::Detached });
        }
    }
}
