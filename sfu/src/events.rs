//! What the voice node reports, one struct for each kind of event: it writes the log line and counts the metric.
//!
//! Tokens, keys and what is said are never logged.

use metrics::{counter, gauge};
use rookery_model::voice::node::{VoiceLeaveReason, VoiceMember};
use std::net::IpAddr;

/// A connection was not taken.
pub(crate) struct ConnectionRefused {
    pub(crate) address: IpAddr,
    pub(crate) why: &'static str,
}

impl ConnectionRefused {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_connections_refused_total", "why" => self.why).increment(1);
        tracing::debug!(address = %self.address, why = self.why, "a voice connection was refused");
    }
}

/// No connection can be accepted for now.
pub(crate) struct AcceptFailed<'a> {
    pub(crate) error: &'a std::io::Error,
}

impl AcceptFailed<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_accept_failures_total").increment(1);
        tracing::warn!(error = %self.error, "voice connections cannot be accepted; trying again");
    }
}

/// Somebody has, or no longer has, a WebSocket.
pub(crate) struct Connections {
    pub(crate) change: f64,
}

impl Connections {
    pub(crate) fn emit(self) {
        gauge!("rookery_sfu_connections").increment(self.change);
    }
}

/// An IDENTIFY or RESUME was not good.
pub(crate) struct AuthenticationFailed {
    pub(crate) opcode: &'static str,
    pub(crate) code: u16,
}

impl AuthenticationFailed {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_authentication_failures_total", "opcode" => self.opcode).increment(1);
        tracing::debug!(opcode = self.opcode, code = self.code, "a voice client was not authenticated");
    }
}

/// An offer in SELECT_PROTOCOL cannot be answered.
pub(crate) struct OfferRefused<'a> {
    pub(crate) error: &'a rookery_webrtc::SdpError,
}

impl OfferRefused<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_offers_refused_total").increment(1);
        tracing::debug!(error = %self.error, "a WebRTC offer was refused");
    }
}

/// A client says that its media found no way.
pub(crate) struct NoRoute;

impl NoRoute {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_no_route_total").increment(1);
    }
}

/// A session began.
pub(crate) struct SessionStarted<'a> {
    pub(crate) member: &'a VoiceMember,
    pub(crate) version: u8,
}

impl SessionStarted<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_sessions_started_total").increment(1);
        gauge!("rookery_sfu_sessions").increment(1.0);
        let VoiceMember { room, user_id, .. } = self.member;
        tracing::debug!(server = %room.server_id, channel = %room.channel_id, user = %user_id, version = self.version,
            "a voice session began");
    }
}

/// A session was taken up again.
pub(crate) struct SessionResumed {
    pub(crate) resumed: bool,
}

impl SessionResumed {
    pub(crate) fn emit(self) {
        let outcome = if self.resumed { "resumed" } else { "refused" };
        counter!("rookery_sfu_resumes_total", "outcome" => outcome).increment(1);
    }
}

/// A session is over.
pub(crate) struct SessionEnded<'a> {
    pub(crate) member: &'a VoiceMember,
    pub(crate) reason: VoiceLeaveReason,
}

impl SessionEnded<'_> {
    pub(crate) fn emit(self) {
        let reason = match self.reason {
            VoiceLeaveReason::ClosedByClient => "closed_by_client",
            VoiceLeaveReason::TimedOut => "timed_out",
            VoiceLeaveReason::Removed => "removed",
            VoiceLeaveReason::Replaced => "replaced",
            VoiceLeaveReason::Protocol { .. } => "protocol",
            VoiceLeaveReason::Drained => "drained",
        };
        counter!("rookery_sfu_sessions_ended_total", "reason" => reason).increment(1);
        gauge!("rookery_sfu_sessions").decrement(1.0);
        let VoiceMember { room, user_id, .. } = self.member;
        tracing::debug!(server = %room.server_id, channel = %room.channel_id, user = %user_id, reason,
            "a voice session ended");
    }
}

/// An event for the owner of a room did not fit.
pub(crate) struct EventLost;

impl EventLost {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_events_lost_total").increment(1);
    }
}

/// A session's task has too much to do, and is told everything anew later.
pub(crate) struct MailboxFull;

impl MailboxFull {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_mailboxes_full_total").increment(1);
    }
}

/// A core cannot receive for a reason that is not a client's.
pub(crate) struct ReceiveFailed<'a> {
    pub(crate) core: usize,
    pub(crate) error: &'a std::io::Error,
}

impl ReceiveFailed<'_> {
    pub(crate) fn emit(self) {
        counter!("rookery_sfu_receive_failures_total").increment(1);
        tracing::warn!(core = self.core, error = %self.error, "media cannot be received");
    }
}

/// Counts of one core since it last told them.
pub(crate) struct MediaCounts<'a> {
    pub(crate) core: usize,
    pub(crate) members: usize,
    pub(crate) rooms: usize,
    pub(crate) utilisation_permille: u16,
    pub(crate) jitter_us: u64,
    /// Each with its name and its sum since the core began.
    pub(crate) totals: &'a [(&'static str, u64)],
    pub(crate) datagrams_dropped: &'a [(&'static str, u64)],
    /// Of browsers, whose datagrams are told apart from others by where checks came from.
    pub(crate) web_rtc_dropped: &'a [(&'static str, u64)],
    pub(crate) packets_dropped: &'a [(&'static str, u64)],
    /// To other nodes, and those whose other end is there.
    pub(crate) links: usize,
    pub(crate) links_up: usize,
    pub(crate) link_dropped: &'a [(&'static str, u64)],
}

impl MediaCounts<'_> {
    pub(crate) fn emit(self) {
        let core = self.core.to_string();
        gauge!("rookery_sfu_members", "core" => core.clone()).set(self.members as f64);
        gauge!("rookery_sfu_rooms", "core" => core.clone()).set(self.rooms as f64);
        gauge!("rookery_sfu_utilisation", "core" => core.clone()).set(f64::from(self.utilisation_permille) / 1_000.0);
        gauge!("rookery_sfu_jitter_seconds", "core" => core.clone()).set(self.jitter_us as f64 / 1_000_000.0);
        for (name, total) in self.totals {
            counter!("rookery_sfu_media_total", "core" => core.clone(), "what" => *name).absolute(*total);
        }
        for (reason, total) in self.datagrams_dropped {
            counter!("rookery_sfu_datagrams_dropped_total", "core" => core.clone(), "reason" => *reason)
                .absolute(*total);
        }
        for (reason, total) in self.web_rtc_dropped {
            counter!("rookery_sfu_web_rtc_dropped_total", "core" => core.clone(), "reason" => *reason).absolute(*total);
        }
        gauge!("rookery_sfu_links", "core" => core.clone()).set(self.links as f64);
        gauge!("rookery_sfu_links_up", "core" => core.clone()).set(self.links_up as f64);
        for (reason, total) in self.link_dropped {
            counter!("rookery_sfu_link_dropped_total", "core" => core.clone(), "reason" => *reason).absolute(*total);
        }
        for (reason, total) in self.packets_dropped {
            counter!("rookery_sfu_packets_dropped_total", "core" => core.clone(), "reason" => *reason).absolute(*total);
        }
    }
}
