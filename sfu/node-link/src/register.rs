//! Members as one end tells them: only the newest state counts, and it is said until the other end has it.
//!
//! Every change has a revision. A piece says what changed from one revision to another, and is taken only by whoever knows
//! exactly the first; so pieces that are lost or come twice leave no gap and take nothing back.

use std::collections::BTreeMap;

use rookery_model::UserId;

use crate::member::{self, MEMBER_BYTES_MAX, RemoteMember};
use crate::wire::{Reader, Writer};

/// Members that are told at most.
pub(crate) const MEMBERS_MAX: usize = 1_024;
/// Pieces under way that the other end has not yet said to have.
const PIECES_MAX: usize = 16;
/// Pieces are said again after this.
const AGAIN_US: u64 = 120_000;
/// Bytes before a piece's members.
const HEAD_BYTES: usize = 9;

/// What this end tells.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    members: BTreeMap<UserId, (u32, Option<RemoteMember>)>,
    by_revision: BTreeMap<u32, UserId>,
    revision: u32,
    /// What the other end has, and up to where it was said to it.
    known: u32,
    said: u32,
    pieces: usize,
    said_us: u64,
}

impl Outgoing {
    /// Takes what is to be told from now on, everybody in it; the first so many count.
    pub(crate) fn set(&mut self, members: impl IntoIterator<Item = RemoteMember>) {
        let newest: BTreeMap<UserId, RemoteMember> =
            members.into_iter().take(MEMBERS_MAX).map(|member| (member.user, member)).collect();
        let gone: Vec<UserId> = self
            .members
            .iter()
            .filter(|(user, (_, member))| member.is_some() && !newest.contains_key(user))
            .map(|(user, _)| *user)
            .collect();
        for user in gone {
            self.change(user, None);
        }
        for (user, member) in newest {
            if self.members.get(&user).and_then(|(_, known)| *known) != Some(member) {
                self.change(user, Some(member));
            }
        }
    }

    fn change(&mut self, user: UserId, member: Option<RemoteMember>) {
        self.revision += 1;
        if let Some((old, _)) = self.members.insert(user, (self.revision, member)) {
            self.by_revision.remove(&old);
        }
        self.by_revision.insert(self.revision, user);
    }

    /// The other end has all up to a revision; nothing, if it forgot.
    pub(crate) fn acknowledged(&mut self, revision: u32) {
        if revision > self.revision || revision == self.known {
            return;
        }
        (self.known, self.pieces) = (revision, 0);
        self.said = if revision == 0 { 0 } else { self.said.max(revision) };
        // Of those who are gone nobody has to be told any more.
        let gone = |(known, member): &(u32, Option<RemoteMember>)| member.is_none() && *known <= revision;
        let users: Vec<UserId> = self.members.iter().filter(|(_, entry)| gone(entry)).map(|(user, _)| *user).collect();
        for user in users {
            if let Some((old, _)) = self.members.remove(&user) {
                self.by_revision.remove(&old);
            }
        }
    }

    /// When there is something to say.
    pub(crate) fn due_us(&self) -> Option<u64> {
        if self.known == self.revision {
            return None;
        }
        let is_open = self.said < self.revision && self.pieces < PIECES_MAX;
        Some(if is_open { 0 } else { self.said_us + AGAIN_US })
    }

    /// Writes the next piece, if one is due.
    pub(crate) fn write(&mut self, now_us: u64, writer: &mut Writer<'_>) -> Option<()> {
        self.due_us().filter(|due_us| *due_us <= now_us)?;
        if self.said == self.revision || self.pieces >= PIECES_MAX {
            (self.said, self.pieces) = (self.known, 0);
        }
        let fits = writer.room().checked_sub(HEAD_BYTES)? / MEMBER_BYTES_MAX;
        let fits = fits.min(usize::from(u8::MAX));
        if fits == 0 {
            return None;
        }
        let piece = self.by_revision.range(self.said + 1..).take(fits);
        let at = writer.len();
        writer.put(&[0; HEAD_BYTES])?;
        let (mut count, mut to) = (0_u8, self.said);
        for (revision, user) in piece {
            let (_, member) = self.members.get(user)?;
            member::write(*user, member.as_ref(), writer)?;
            (count, to) = (count + 1, *revision);
        }
        // What was changed after that was of those who are gone, and is over.
        if usize::from(count) < fits {
            to = self.revision;
        }
        writer.set(at, &self.said.to_be_bytes());
        writer.set(at + 4, &to.to_be_bytes());
        writer.set(at + 8, &[count]);
        (self.said, self.said_us, self.pieces) = (to, now_us, self.pieces + 1);
        Some(())
    }
}

/// What the other end tells.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Up to where.
    pub(crate) known: u32,
    users: std::collections::BTreeSet<UserId>,
}

impl Incoming {
    /// Reads a piece; `took` gets what is new, if the piece comes next.
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        mut took: impl FnMut(UserId, Option<RemoteMember>),
    ) -> Option<()> {
        let (from, to, count) = (reader.u32()?, reader.u32()?, reader.u8()?);
        let is_next = from == self.known && to >= from;
        for _ in 0..count {
            let (user, member) = member::read(reader)?;
            if !is_next {
                continue;
            }
            match member {
                // The other end tells no more; what it would tell is not kept.
                Some(_) if self.users.len() >= MEMBERS_MAX && !self.users.contains(&user) => continue,
                Some(_) => drop(self.users.insert(user)),
                None => drop(self.users.remove(&user)),
            }
            took(user, member);
        }
        if is_next {
            self.known = to;
        }
        Some(())
    }
}
