//! Who may hear and see whom, by looking at everybody.

use rookery_forwarder::{MemberFlags, MemberKey, Streams, Transport};

pub const ROOMS: usize = 2;

/// What is true of a user.
#[derive(Clone, Debug)]
pub struct User {
    pub id: u64,
    pub transport: Transport,
    pub place: Option<Place>,
    pub flags: MemberFlags,
    pub shows: bool,
    /// 0 to 100, for everybody's video.
    pub wants: u8,
}

/// Where a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub room: usize,
    pub key: MemberKey,
    pub streams: Streams,
}

impl User {
    pub fn speaks(&self) -> bool {
        let silenced =
            [MemberFlags::SERVER_MUTED, MemberFlags::SELF_MUTED, MemberFlags::SUPPRESSED, MemberFlags::LISTENER];
        self.flags.contains(MemberFlags::MAY_SPEAK) && silenced.iter().all(|flag| !self.flags.contains(*flag))
    }
    pub fn hears(&self) -> bool {
        !self.flags.contains(MemberFlags::SERVER_DEAFENED) && !self.flags.contains(MemberFlags::SELF_DEAFENED)
    }
    pub fn may_show(&self) -> bool {
        let barred = [MemberFlags::SUPPRESSED, MemberFlags::LISTENER];
        self.flags.contains(MemberFlags::MAY_STREAM) && barred.iter().all(|flag| !self.flags.contains(*flag))
    }
}

fn together(a: &User, b: &User) -> bool {
    a.id != b.id && matches!((a.place, b.place), (Some(a), Some(b)) if a.room == b.room)
}

pub fn may_hear(receiver: &User, sender: &User) -> bool {
    together(receiver, sender) && sender.speaks() && receiver.hears()
}

pub fn may_see(receiver: &User, sender: &User) -> bool {
    together(receiver, sender) && sender.shows && sender.may_show() && receiver.wants > 0
}
