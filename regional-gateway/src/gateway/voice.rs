//! VOICE_STATE_UPDATE of a session: which guild or DM it goes to; and what it says of streams.

use rand::Rng as _;
use rookery_model::ChannelId;
use rookery_model::gateway::{StreamDeleteReason, StreamDeleted, StreamRequest, VoiceStateUpdate};

use super::registry::SessionHandle;
use crate::owners::{OwnerKey, Owners, VoiceRequest};

/// Where a session is in voice, as far as it asked.
#[derive(Default)]
pub struct SessionVoice {
    place: Option<OwnerKey>,
}

impl SessionVoice {
    /// Of a session of the process before. Of a guild that knows nothing here: its client names it.
    pub fn taken_up(call: Option<ChannelId>) -> Self {
        Self { place: call.map(OwnerKey::Dm) }
    }

    /// The DM in whose call it is, or wants to be.
    pub const fn call(&self) -> Option<ChannelId> {
        match self.place {
            Some(OwnerKey::Dm(id)) => Some(id),
            Some(OwnerKey::Guild(_)) | None => None,
        }
    }

    /// Takes VOICE_STATE_UPDATE of the client. People are in one place at a time: a client that goes to another guild, to a
    /// call, or to none, leaves where it was. Bots are in one channel of each guild, and in no calls.
    pub fn update(&mut self, owners: &Owners, session: &SessionHandle, is_bot: bool, update: VoiceStateUpdate) {
        let to = match (update.guild_id, update.channel_id) {
            (Some(guild_id), _) => Some(OwnerKey::Guild(guild_id)),
            (None, Some(_)) if is_bot => return,
            (None, channel_id) => channel_id.map(OwnerKey::Dm),
        };
        if let Some(before) = self.place.filter(|before| !is_bot && Some(*before) != to) {
            ask(owners, session, before, VoiceStateUpdate { channel_id: None, ..update });
            self.place = None;
        }
        let Some(to) = to else { return };
        self.place = update.channel_id.map(|_| to);
        ask(owners, session, to, update);
    }

    /// The owner of the DM in whose call it was is another: the call ended with the one before. The new one says so where that
    /// could not, as soon as somebody asks for it.
    pub fn owners_began(&mut self, owners: &Owners, session: &SessionHandle, begins: impl Fn(u64) -> bool) {
        if let Some(channel_id) = self.call().filter(|id| begins(id.get())) {
            self.place = None;
            owners.connect_call(channel_id, session.user_id);
        }
    }

    /// The session is over, and with it its place in a call; guilds hear of its end anyway.
    pub fn end(&mut self, owners: &Owners, session: &SessionHandle) {
        if let Some(channel_id) = self.call() {
            self.place = None;
            owners.update_call(channel_id, session, VoiceRequest::leave(session.user_id, session.id));
        }
    }
}

/// Takes what a session says of a stream; what it is to be told if nobody can be asked.
pub fn stream(owners: &Owners, session: &SessionHandle, request: StreamRequest) -> Result<(), StreamDeleted> {
    let unreadable =
        |stream_key| StreamDeleted { stream_key, reason: StreamDeleteReason::ParseFailed, unavailable: false };
    let (key, action) = request.read(session.user_id).map_err(unreadable)?;
    owners.stream(session, key, action).map_err(|error| StreamDeleted::unheard(key, &error))
}

fn ask(owners: &Owners, session: &SessionHandle, owner: OwnerKey, update: VoiceStateUpdate) {
    // Others see it: it must not be the id that RESUME takes.
    let session_id = format!("{:032x}", rand::rng().random::<u128>()).into();
    let request = |update| VoiceRequest { user_id: session.user_id, session: session.id, session_id, update };
    match owner {
        OwnerKey::Guild(id) => {
            let update = VoiceStateUpdate { guild_id: Some(id), ..update };
            owners.update_voice(id, session.subscriber, request(update));
        }
        OwnerKey::Dm(id) => owners.update_call(id, session, request(VoiceStateUpdate { guild_id: None, ..update })),
    }
}
