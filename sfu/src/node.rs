//! The handle by which owners of rooms have a node do things.

use rookery_model::voice::node::{
    PrepareMember, PreparedMember, VoiceLeaveReason, VoiceMember, VoiceMemberFlags, VoiceMemberKey, VoiceNodeEvent,
    VoiceNodeLoad, VoiceNodeRefusal, VoiceRoomKey,
};
use rookery_model::voice::{RoomLink, VoiceCloseCode};
use rookery_node_link::DropReason as LinkDropReason;
use rookery_rtp::DropReason;
use rookery_webrtc::DropReason as WebRtcDropReason;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::directory::Live;
use crate::mail::Mail;
use crate::media::{Command, CoreStats, UNDELIVERED, ask_rooms, ask_stats};
use crate::room_metrics;
use crate::secret::Token;
use crate::shared::Shared;

/// Pause between looks at tokens whose time is over.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);
/// Pause between looks at who is still there while a node drains.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// A core that is busier than this in thousandths of its time is to get no more members; quality goes down before.
const FULL_PERMILLE: u16 = 900;

/// A running voice node. Clones are the same node.
#[derive(Clone)]
pub struct VoiceNode {
    pub(crate) shared: Arc<Shared>,
}

impl VoiceNode {
    /// Makes a token for somebody who may come, once VOICE_STATE_UPDATE was accepted.
    pub fn prepare_member(&self, prepare: PrepareMember) -> Result<PreparedMember, VoiceNodeRefusal> {
        let token = match &prepare.token {
            Some(token) => Token::of(token),
            None => Token::generate().map_err(|_| VoiceNodeRefusal::Full)?,
        };
        let prepared = PreparedMember { token: token.reveal().to_owned(), endpoint: self.shared.endpoint.clone() };
        self.shared.directory.prepare(self.shared.clock.now_ms(), token, prepare)?;
        Ok(prepared)
    }

    /// Prepares a member for another channel of the server, and closes its connection to the old one with 4014.
    pub async fn move_member(&self, prepare: PrepareMember) -> Result<PreparedMember, VoiceNodeRefusal> {
        let key = VoiceMemberKey { server_id: prepare.room.server_id, user_id: prepare.user_id };
        let prepared = self.prepare_member(prepare)?;
        if let Some(live) = self.shared.directory.take_live(key) {
            let core = live.grant.core;
            self.end(live, VoiceCloseCode::Disconnected, VoiceLeaveReason::Removed).await;
            self.shared.settled(core).await;
        }
        Ok(prepared)
    }

    /// Takes a new voice state or new permissions of a member, who is here or awaited. When this is answered they hold.
    pub async fn update_member(&self, key: VoiceMemberKey, flags: VoiceMemberFlags) -> Result<(), VoiceNodeRefusal> {
        if let Some(live) = self.shared.directory.update(key, flags)? {
            let command = Command::SetFlags { room: live.grant.room, user: key.user_id, flags };
            self.shared.command(live.grant.core, command).await;
            self.shared.settled(live.grant.core).await;
        }
        Ok(())
    }

    /// Takes a member out, with 4014, and voids its tokens. When this is answered nobody hears it any more.
    pub async fn remove_member(&self, key: VoiceMemberKey) -> Result<(), VoiceNodeRefusal> {
        if let Some(live) = self.shared.directory.remove(key)? {
            let core = live.grant.core;
            self.end(live, VoiceCloseCode::Disconnected, VoiceLeaveReason::Removed).await;
            self.shared.settled(core).await;
        }
        Ok(())
    }

    /// Takes everybody out of a room that is gone, with 4022.
    pub async fn close_room(&self, room: VoiceRoomKey) -> Result<(), VoiceNodeRefusal> {
        for live in self.shared.directory.close_room(room)? {
            self.end(live, VoiceCloseCode::CallTerminated, VoiceLeaveReason::Removed).await;
        }
        Ok(())
    }

    /// Prepares nobody any more, waits until those who are here were moved elsewhere, and closes the rest with 4015.
    pub async fn drain(&self, within: Duration) {
        let directory = &self.shared.directory;
        directory.drain();
        let moved = async {
            while directory.has_live() {
                tokio::time::sleep(DRAIN_INTERVAL).await;
            }
        };
        if tokio::time::timeout(within, moved).await.is_err() {
            for live in directory.live() {
                self.end(live, VoiceCloseCode::VoiceServerCrashed, VoiceLeaveReason::Drained).await;
            }
        }
    }

    /// Has a room linked to other nodes, all that it is linked to; where its media is received. When this is answered it is
    /// so.
    pub async fn link_room(&self, room: VoiceRoomKey, links: Vec<RoomLink>) -> SocketAddr {
        let core = self.shared.directory.link(room, !links.is_empty());
        self.shared.command(core, Command::Link { room, links }).await;
        self.shared.settled(core).await;
        self.media_address(core)
    }

    /// Where the media of a room is received.
    pub(crate) fn room_address(&self, room: VoiceRoomKey) -> Option<SocketAddr> {
        Some(self.media_address(self.shared.directory.core_of(room)?))
    }

    fn media_address(&self, core: usize) -> SocketAddr {
        let address = self.shared.cores[core].0;
        let ip = self.shared.config.advertised_ip.unwrap_or(address.ip()).to_canonical();
        SocketAddr::new(ip, address.port())
    }

    /// The node's number.
    pub(crate) fn number(&self) -> u16 {
        self.shared.config.node
    }

    /// Whether it has nearly as many members as it may have, or one of its cores as much to do as it can.
    pub(crate) fn is_full(&self) -> bool {
        let busiest = self.shared.utilisation.iter().map(|core| core.load(Ordering::Relaxed)).max();
        self.shared.directory.is_nearly_full() || busiest.is_some_and(|permille| permille >= FULL_PERMILLE)
    }

    /// Who is here.
    pub fn members(&self) -> Vec<VoiceMember> {
        self.shared.directory.live().iter().map(|live| live.grant.member()).collect()
    }

    /// The clock of everything here, milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    /// Whether a member is here or awaited.
    pub(crate) fn knows(&self, key: VoiceMemberKey) -> bool {
        self.shared.directory.knows(key)
    }

    /// Host and port of the voice gateway, as clients are told.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// How busy the node is.
    pub async fn load(&self) -> VoiceNodeLoad {
        let (members, awaited, rooms) = self.shared.directory.counts();
        let mut sum = CoreStats::default();
        for (_, core) in self.shared.cores.iter() {
            if let Some(stats) = ask_stats(core).await {
                sum.add(&stats);
            }
        }
        let named = |name: &'static str, count: u64| (name.to_owned(), count);
        let datagrams = DropReason::ALL.iter().zip(sum.datagrams_dropped);
        let web_rtc = WebRtcDropReason::ALL.iter().zip(sum.web_rtc_dropped);
        let web_rtc = web_rtc.map(|(reason, count)| (format!("web_rtc_{}", reason.name()), count));
        let links = LinkDropReason::ALL.iter().zip(sum.link_dropped);
        let links = links.map(|(reason, count)| (format!("link_{}", reason.name()), count));
        let packets = UNDELIVERED.iter().zip(sum.packets_dropped);
        VoiceNodeLoad {
            members: members as u64,
            awaited: awaited as u64,
            rooms: rooms as u64,
            packets_in: sum.packets_in,
            packets_out: sum.packets_out,
            datagrams_dropped: datagrams
                .map(|(reason, count)| named(reason.name(), count))
                .chain(web_rtc)
                .chain(links)
                .collect(),
            packets_dropped: packets.map(|((_, name), count)| named(name, count)).collect(),
            packets_unsent: sum.unsent,
            packets_lost: sum.lost,
            jitter_us: sum.jitter_us(),
            links: sum.links as u64,
            links_up: sum.links_up as u64,
            link_packets_in: sum.link_packets_in,
            link_packets_out: sum.link_packets_out,
            utilisation_permille: sum.utilisation_permille,
        }
    }

    /// Counts of each room in Prometheus' text format.
    pub async fn room_metrics(&self) -> String {
        let mut rooms = Vec::new();
        for (_, core) in self.shared.cores.iter() {
            rooms.extend(ask_rooms(core).await.into_iter().flatten());
        }
        room_metrics::text(&rooms)
    }

    async fn end(&self, live: Live, code: VoiceCloseCode, reason: VoiceLeaveReason) {
        // Its media first, which ends at once however long its connection takes.
        self.shared.command(live.grant.core, Command::Leave { member: live.reference() }).await;
        let _ = live.mail.send(Mail::Close { code, reason }).await;
    }
}

/// Voids tokens that nobody used in time, until the node stops.
pub(crate) async fn expire_tokens(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(EXPIRY_INTERVAL);
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = interval.tick() => {}
        }
        for member in shared.directory.expire(shared.clock.now_ms()) {
            shared.events.tell(VoiceNodeEvent::NeverCame(member));
        }
    }
}
