//! Packets of sound.

use super::stats::AUDIO_CLOCK_HZ;
use super::{RECENT_MAX, Room, Special};
use crate::event::Event;
use crate::member::{AudioTrack, MemberFlags, Shift};
use crate::packet::{Audio, Body, DropReason, Forward, Header, Packet, Verdict};
use crate::reception::{Arrival, to_clock};
use crate::speakers::Selection;
use crate::{MemberKey, Ssrc};

/// After so long a pause nothing that is late can be of before it.
const FORGET_US: u64 = 5_000_000;
/// Numbers before one at which a receiver heard again, in which late packets are looked for.
const LATE_MAX: u16 = 256;

impl Room {
    pub(super) fn forward_audio(
        &mut self,
        now_us: u64,
        sender: MemberKey,
        packet: &Packet,
        audio: Audio,
        hops: u8,
        mut send: impl FnMut(Forward),
    ) -> Verdict {
        let (header, late) = match self.select_audio(now_us, sender, packet, audio) {
            Ok(selected) => selected,
            Err(drop) => return Verdict::Dropped(drop),
        };
        let Some(member) = self.members.get(sender) else { return Verdict::Dropped(DropReason::UnknownMember) };
        let via = member.via();
        let ducked =
            !member.flags.contains(MemberFlags::PRIORITY) && self.speakers.is_ducking(now_us, &self.config.speakers);
        let to_links = hops < self.config.hops_max;
        let length_bytes = packet.length_bytes;
        let mut receivers = 0;
        for hearing in &mut self.hearing {
            let receiver = hearing.member;
            if receiver == sender {
                continue;
            }
            let mut forward =
                Forward { receiver, header, body: Body::Incoming, transport_sequence: None, hops: 0, ducked };
            if !hearing.special.is_empty() {
                if hearing.special.contains(Special::LINK) {
                    if via == Some(receiver) || !to_links {
                        continue;
                    }
                    forward.hops = hops + 1;
                }
                let Some(member) = self.members.get_mut(receiver) else { continue };
                if hearing.special.contains(Special::SHIFTED) {
                    match shifted(&member.shifts, sender, header.sequence, late) {
                        Some(sequence) => forward.header.sequence = sequence,
                        None => continue,
                    }
                }
                if let Some(outlet) = &mut member.outlet {
                    forward.transport_sequence = outlet.pass_audio(now_us, length_bytes);
                }
            }
            hearing.packets += 1;
            hearing.octets += u64::from(length_bytes);
            receivers += 1;
            send(forward);
        }
        Verdict::Forwarded { receivers, store: None }
    }

    /// Whether a packet is heard, and under which numbers; whether it is late.
    fn select_audio(
        &mut self,
        now_us: u64,
        sender: MemberKey,
        packet: &Packet,
        audio: Audio,
    ) -> Result<(Header, bool), DropReason> {
        let silence_too = self.members.len() <= self.config.speakers.silence_members_max;
        let is_stream = self.is_stream();
        let may_publish = self.members.get(sender).is_some_and(|member| self.may_publish(member.user));
        let Some(member) = self.members.get_mut(sender) else { return Err(DropReason::UnknownMember) };
        let track = member.audio.get_or_insert_default();
        let length_bytes = packet.length_bytes;
        let arrival = track.reception.note(now_us, packet.sequence, packet.timestamp, length_bytes, AUDIO_CLOCK_HZ);
        if arrival == Arrival::OutOfRange {
            return Err(DropReason::OutOfRange);
        }
        if arrival == Arrival::Restarted {
            track.restart(now_us, packet);
        }
        let is_late = arrival == Arrival::Late;
        if !member.flags.speaks() || !may_publish {
            track.paused |= !is_late;
            return Err(DropReason::NotPermitted);
        }
        track.loudness.note(now_us, audio, &self.config.speakers);
        let priority = member.flags.contains(MemberFlags::PRIORITY);
        // What goes with a picture is always heard, for nobody else is.
        let silence_too = silence_too || is_stream;
        let selection =
            self.speakers.select(now_us, sender, track.loudness, priority, silence_too, &self.config.speakers);
        if selection == Selection::NotHeard {
            track.paused |= !is_late;
            return Err(DropReason::NotSelected);
        }
        let rewritten = track.rewrite(now_us, packet, is_late, member.streams.audio);
        self.note_selection(sender, selection);
        rewritten.ok_or(DropReason::TooLate)
    }

    fn note_selection(&mut self, sender: MemberKey, selection: Selection) {
        let replaced = match selection {
            Selection::Heard | Selection::NotHeard => return,
            Selection::Begins => None,
            Selection::Replaces(member) => Some(member),
        };
        if let Some(member) = replaced {
            self.emit(Event::Heard { member, heard: false });
        }
        self.emit(Event::Heard { member: sender, heard: true });
        self.recent.retain(|recent| *recent != sender);
        self.recent.truncate(RECENT_MAX - 1);
        self.recent.push_front(sender);
    }
}

impl AudioTrack {
    /// Begins anew at this packet, where the old numbers and times ended.
    fn restart(&mut self, now_us: u64, packet: &Packet) {
        if !self.rewriter.is_started() {
            return;
        }
        self.rewriter.switch(packet.sequence);
        let passed = to_clock(now_us.saturating_sub(self.last_us), AUDIO_CLOCK_HZ).max(1);
        self.timestamp_offset = packet.timestamp.wrapping_sub(self.last_timestamp.wrapping_add(passed));
        // What follows belongs to the new stream even if this one is not heard.
        self.paused = true;
    }

    /// The header of a packet that goes on, and whether it is late; none if its time was left out.
    fn rewrite(&mut self, now_us: u64, packet: &Packet, is_late: bool, ssrc: Ssrc) -> Option<(Header, bool)> {
        let begins = self.paused || !self.rewriter.is_started();
        if begins {
            if is_late {
                return None;
            }
            // Numbers that come again after a long time must not find runs of before.
            if now_us.saturating_sub(self.last_us) > FORGET_US || !self.rewriter.is_started() {
                self.rewriter.switch(packet.sequence);
            } else {
                self.rewriter.resume(packet.sequence);
            }
            self.paused = false;
        }
        let mapped = self.rewriter.accept(packet.sequence)?;
        let timestamp = packet.timestamp.wrapping_sub(self.timestamp_offset);
        if !mapped.late {
            (self.last_timestamp, self.last_us) = (timestamp, now_us);
        }
        let marker = packet.marker || begins;
        Some((Header { ssrc, sequence: mapped.sequence, timestamp, marker, vp8: None }, mapped.late))
    }
}

/// The number for a receiver that did not hear all of a sender's; none if it is of a time that it did not hear.
fn shifted(shifts: &[Shift], sender: MemberKey, sequence: u16, late: bool) -> Option<u16> {
    let Some(shift) = shifts.iter().find(|shift| shift.sender == sender) else { return Some(sequence) };
    let before = shift.resumed_at.wrapping_sub(sequence);
    if late && (1..LATE_MAX).contains(&before) {
        return None;
    }
    Some(sequence.wrapping_sub(shift.shift))
}
