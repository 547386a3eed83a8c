//! What two regions say to each other about owners and sessions.
//!
//! Each region is both: the home of owners that sessions elsewhere subscribe to, and the place of sessions whose owners
//! are elsewhere. All of it goes over one ordered stream in each direction. CBOR; a frame of a later version that this
//! one does not know is passed over, and fields are only added.

use bytes::Bytes;
use rookery_guild::{MembersCursor, Subscriber};
use rookery_model::gateway::event::Ready;
use rookery_model::gateway::{
    Activity, Capabilities, ClientStatus, Event, Intents, Presence, PresenceUpdate, RequestChannelInfo,
    RequestGuildMembers, Status, StreamAction, StreamKey, SubscriberId, Subscription, VoiceStateUpdate,
};
use rookery_model::user::{Account, User};
use rookery_model::{ApiError, ChannelId, DeviceId, GuildId, MessageId, UserId};
use rookery_user::UserSession;
use serde::{Deserialize, Serialize};

use crate::gateway::kept::KeptClient;
use crate::gateway::registry::{SessionHandle, SessionId};
use crate::owners::{OwnerKey, SessionLink};

/// A frame.
#[derive(Debug, Serialize, Deserialize)]
pub enum Frame {
    /// The sender's sessions begin anew with the receiver's owners: whatever they had there is void.
    Open { epoch: u64 },
    /// The answer to it: what follows is of that epoch.
    Opened { epoch: u64 },
    /// The owners of the sender have left the receiver's sessions of that epoch.
    Closed { epoch: u64 },
    /// The sender's process ends.
    Leaving,
    /// The sender's process is about to be another. What the receiver has from here on for its sessions of that epoch, it
    /// is to keep for whoever shows the token.
    Park { epoch: u64, token: u128 },
    /// The answer to it: what was said before is all that was said.
    Parked { token: u128 },
    /// The sender has sessions of the process that parked them, and they go on in this epoch; a part of them, and with the
    /// last the epoch begins.
    Return { epoch: u64, token: u128, sessions: Vec<ReturningSession>, is_last: bool },
    /// The answer to it: the epoch is open, and what was kept follows.
    Returned { epoch: u64 },
    /// The other answer: nothing was kept for this token, or not all.
    Forgotten { token: u128 },
    /// From a session to an owner.
    ToOwner(ToOwner),
    /// From an owner to sessions.
    ToSessions(ToSessions),
    /// From one owner to another.
    Between(Between),
}

/// Shards of one region, by the names and numbers that all nodes give them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardsForm {
    pub region: Box<str>,
    /// Number, epoch, and the epoch before, if that is certain.
    pub shards: Vec<(u16, u64, Option<u64>)>,
}

/// A session as another region's owners know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    /// Its number where it lives.
    pub id: u64,
    pub session_id: u128,
    pub user_id: UserId,
    pub device: DeviceId,
}

impl SessionRef {
    /// A session of this region.
    pub fn of(session: &SessionHandle) -> Self {
        Self {
            id: session.subscriber.0,
            session_id: session.id.raw(),
            user_id: session.user_id,
            device: session.device,
        }
    }

    /// Its unguessable name.
    pub const fn name(&self) -> SessionId {
        SessionId::from_raw(self.session_id)
    }
}

/// A session that goes on in another process, and what it counts on having with the receiver's owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturningSession {
    /// Its name is what it was, its number is new.
    pub session: SessionRef,
    pub guild_ids: Vec<GuildId>,
    pub has_user: bool,
}

/// As which a session subscribes to a guild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberForm {
    intents: Option<u64>,
    large_threshold: u32,
    capabilities: u64,
}

impl SubscriberForm {
    /// Writes it down.
    pub fn new(subscriber: &Subscriber) -> Self {
        Self {
            intents: subscriber.intents.map(|intents| intents.bits()),
            large_threshold: subscriber.large_threshold,
            capabilities: subscriber.capabilities.bits(),
        }
    }

    /// Reads it for the session as it is known here.
    pub fn read(&self, id: SubscriberId, user_id: UserId) -> Subscriber {
        Subscriber {
            id,
            user_id,
            intents: self.intents.map(Intents::from_bits_truncate),
            large_threshold: self.large_threshold,
            capabilities: Capabilities::from_bits_truncate(self.capabilities),
        }
    }
}

/// As which a session is known to its user's owner.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserSessionForm {
    epoch: u32,
    intents: Option<u64>,
    shard: Option<[u32; 2]>,
    client: KeptClient,
}

impl UserSessionForm {
    /// Writes it down.
    pub fn new(session: &UserSession) -> Self {
        Self {
            epoch: session.epoch,
            intents: session.intents.map(|intents| intents.bits()),
            shard: session.shard,
            client: KeptClient::new(&session.client),
        }
    }

    /// Reads it for the session as it is known here.
    pub fn read(self, id: SubscriberId, device: DeviceId) -> UserSession {
        UserSession {
            id,
            device,
            epoch: self.epoch,
            intents: self.intents.map(Intents::from_bits_truncate),
            shard: self.shard,
            client: self.client.read(),
        }
    }
}

/// From a session to an owner.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToOwner {
    SubscribeGuild {
        guild_id: GuildId,
        session: SessionRef,
        subscriber: SubscriberForm,
    },
    /// Sessions by their numbers.
    UnsubscribeGuild {
        guild_id: GuildId,
        sessions: Vec<u64>,
    },
    /// The session starts: READY is the answer, or a reason why it does not come.
    StartUser {
        session: SessionRef,
        user_session: Box<UserSessionForm>,
        ready: Box<Ready>,
        is_bot: bool,
    },
    /// The session is over, for all owners there.
    SessionOver {
        session: u64,
    },
    /// The user's owner is to forget the session.
    UnsubscribeUser {
        user_id: UserId,
        session: u64,
    },
    Members {
        guild_id: GuildId,
        session: SessionRef,
        request: Box<RequestForm>,
        cursor: MembersCursor,
    },
    Looks {
        guild_id: GuildId,
        session: u64,
        subscription: Box<Subscription>,
    },
    /// What the session says of its user's presence, and what became of its connection; the newest of each.
    News {
        user_id: UserId,
        session: u64,
        presence: Option<Box<PresenceUpdate>>,
        link: Option<SessionLink>,
    },
    Voice {
        guild_id: GuildId,
        session: u64,
        session_id: Box<str>,
        update: VoiceStateUpdate,
    },
    /// The session joins the call of a DM, is in it otherwise, or leaves it.
    Call {
        channel_id: ChannelId,
        session: Box<SessionRef>,
        session_id: Box<str>,
        update: VoiceStateUpdate,
    },
    /// The user's sessions are to hear of the call that goes on in a DM.
    CallConnect {
        channel_id: ChannelId,
        user_id: UserId,
    },
    /// What the session wants of a stream.
    Stream {
        session: u64,
        key: StreamKey,
        action: StreamAction,
    },
    /// The session asks for what of a guild's channels is not in their objects.
    ChannelInfo {
        session: u64,
        request: Box<RequestChannelInfo>,
    },
    /// Sessions that had the guild when the owner before this one ended, with everything told: no snapshot is sent.
    TakeUpGuild {
        guild_id: GuildId,
        sessions: Vec<(SessionRef, SubscriberForm)>,
    },
    /// The same of the session's user.
    TakeUpUser {
        session: SessionRef,
        user_session: Box<UserSessionForm>,
        is_attached: bool,
    },
    /// All that owners which began are to go on with was said.
    Resumed {
        batch: u64,
    },
}

/// REQUEST_GUILD_MEMBERS as it was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct RequestForm {
    guild_ids: Vec<GuildId>,
    query: Option<String>,
    limit: u32,
    presences: bool,
    user_ids: Vec<UserId>,
    nonce: Option<String>,
}

impl RequestForm {
    /// Writes it down.
    pub fn new(request: &RequestGuildMembers) -> Self {
        let RequestGuildMembers { guild_ids, query, limit, presences, user_ids, nonce } = request.clone();
        Self { guild_ids, query, limit, presences, user_ids, nonce }
    }

    /// Reads it.
    pub fn read(self) -> RequestGuildMembers {
        let Self { guild_ids, query, limit, presences, user_ids, nonce } = self;
        RequestGuildMembers { guild_ids, query, limit, presences, user_ids, nonce }
    }
}

/// From an owner to sessions, which are named by their numbers where they live.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToSessions {
    /// These sessions go by one number from now on.
    Audience {
        number: u32,
        sessions: Vec<u64>,
    },
    /// A number means nobody any more.
    ForgetAudience {
        number: u32,
    },
    /// An event, in CBOR, for an audience.
    FanOut {
        event: Bytes,
        audience: u32,
    },
    /// An event that others may get too, for a few sessions.
    Dispatch {
        event: Bytes,
        sessions: Vec<u64>,
    },
    /// An event for one session alone.
    Own {
        event: Bytes,
        session: u64,
    },
    Control {
        session: u64,
        control: ControlForm,
    },
    /// [`Signals`](crate::gateway::registry::Signals) of a session, as bits.
    Signals {
        session_id: u128,
        bits: u8,
    },
    /// The owners of these shards begin: what is said of them from here on is theirs. They wait for
    /// [`ToOwner::Resumed`].
    Began {
        batch: u64,
        shards: Vec<ShardsForm>,
    },
    /// The owners of these shards ended; everything that they had was said before.
    Ended {
        shards: Vec<ShardsForm>,
    },
}

/// What is not an event, in order with the events.
#[derive(Debug, Serialize, Deserialize)]
pub enum ControlForm {
    GuildJoined(GuildId),
    GuildLeft(GuildId),
    NotSubscribed(GuildId, Box<ApiError>),
    Subscribed(GuildId),
    NoMembers(GuildId, Box<ApiError>),
    NotReady(Box<ApiError>),
    GuildCut(GuildId),
}

/// From one owner, or the account behind it, to others.
#[derive(Debug, Serialize, Deserialize)]
pub enum Between {
    GuildJoined {
        guild_id: GuildId,
        user_ids: Vec<UserId>,
    },
    GuildLeft {
        guild_id: GuildId,
        user_ids: Vec<UserId>,
    },
    /// Something for these users was lost: their sessions cannot go on, wherever they are.
    Lost {
        user_ids: Vec<UserId>,
    },
    Mentioned {
        channel_id: ChannelId,
        message_id: MessageId,
        user_ids: Vec<UserId>,
    },
    /// An event, in CBOR, that is the users' own or a DM's.
    Event {
        event: Bytes,
        user_ids: Vec<UserId>,
    },
    /// What a user is seen as; none is offline. These guilds and friends are the receiver's.
    Presence {
        user_id: UserId,
        presence: Option<PresenceForm>,
        guild_ids: Vec<GuildId>,
        friends: Vec<UserId>,
    },
    /// The account of somebody who may be a member of these changed.
    UserUpdated {
        user: Box<User>,
        places: Vec<Place>,
    },
    /// The account is this from now on.
    Account(Box<Account>),
}

/// What a user is seen as.
#[derive(Debug, Serialize, Deserialize)]
pub struct PresenceForm {
    status: Status,
    activities: Vec<Activity>,
    client_status: ClientStatus,
}

impl PresenceForm {
    /// Writes it down.
    pub fn new(presence: &Presence) -> Self {
        let activities = presence.activities.to_vec();
        Self { status: presence.status, activities, client_status: presence.client_status }
    }

    /// Reads it.
    pub fn read(self) -> Presence {
        Presence { status: self.status, activities: self.activities.into(), client_status: self.client_status }
    }
}

/// What has an owner of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Guild(GuildId),
    Dm(ChannelId),
}

impl From<OwnerKey> for Place {
    fn from(key: OwnerKey) -> Self {
        match key {
            OwnerKey::Guild(id) => Self::Guild(id),
            OwnerKey::Dm(id) => Self::Dm(id),
        }
    }
}

impl From<Place> for OwnerKey {
    fn from(place: Place) -> Self {
        match place {
            Place::Guild(id) => Self::Guild(id),
            Place::Dm(id) => Self::Dm(id),
        }
    }
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("not a frame that this version reads: {0}")]
pub struct Unreadable(String);

impl Frame {
    /// The frame as it is sent.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        // Writing to memory fails only if a value cannot be encoded, and frames are plain data.
        if let Err(error) = ciborium::into_writer(self, &mut out) {
            tracing::error!(%error, "a frame could not be encoded");
            out.clear();
        }
        out.into()
    }

    /// Reads a frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        ciborium::from_reader(bytes).map_err(|error| Unreadable(error.to_string()))
    }
}

/// An event as it goes to another region.
pub fn write_event(event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(512);
    // As above.
    if let Err(error) = ciborium::into_writer(event, &mut out) {
        tracing::error!(%error, event = event.name(), "an event could not be encoded");
        out.clear();
    }
    out.into()
}

/// Reads an event of another region.
pub fn read_event(bytes: &[u8]) -> Result<Event, Unreadable> {
    ciborium::from_reader(bytes).map_err(|error| Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use rookery_model::channel::{Channel, ChannelType};
    use rookery_model::gateway::event::{MessageAck, ReadyAuth, VoiceServerUpdate};
    use rookery_model::gateway::{ActivityType, CallCreate, CallSessionEvent, CallUpdate, ClientKind};
    use rookery_model::guild::UnavailableGuild;
    use rookery_model::voice::VoiceToken;
    use rookery_user::SessionClient;

    use super::*;

    fn same(frame: &Frame) -> Frame {
        Frame::decode(&frame.encode()).expect("a frame")
    }

    #[test]
    fn a_session_is_the_same_in_another_region() {
        let presence = PresenceUpdate {
            status: Status::Idle,
            activities: vec![Activity::new("chess", ActivityType::Playing)],
            ..PresenceUpdate::default()
        };
        let session = UserSession {
            id: SubscriberId(7),
            device: DeviceId::new(8),
            epoch: 9,
            intents: Some(Intents::GUILDS | Intents::MESSAGE_CONTENT),
            shard: Some([1, 4]),
            client: SessionClient { kind: ClientKind::Mobile, os: "ios".into(), presence: Some(Box::new(presence)) },
        };
        let reference =
            SessionRef { id: 7, session_id: u128::MAX - 5, user_id: UserId::new(1 << 60), device: DeviceId::new(8) };
        let user = User::new(UserId::new(1 << 60), "alice");
        let ready = Ready {
            v: 10,
            user: Account::new(user).current_user(),
            guilds: vec![UnavailableGuild { id: GuildId::new(3), unavailable: Some(true) }],
            session_id: "s".into(),
            resume_gateway_url: "wss://example.org".into(),
            session_type: "normal".into(),
            shard: Some([1, 4]),
            application: None,
            private_channels: vec![Channel::new(ChannelId::new(5), ChannelType::Dm)],
            relationships: Vec::new(),
            presences: Vec::new(),
            sessions: Vec::new(),
            geo_ordered_rtc_regions: Vec::new(),
            auth: ReadyAuth {},
            user_settings: ReadyAuth {},
            read_state: Some(Vec::new()),
            trace: vec!["eu".into()],
        };
        let frame = Frame::ToOwner(ToOwner::StartUser {
            session: reference,
            user_session: Box::new(UserSessionForm::new(&session)),
            ready: Box::new(ready.clone()),
            is_bot: true,
        });
        let Frame::ToOwner(ToOwner::StartUser { session: there, user_session, ready: there_ready, is_bot }) =
            same(&frame)
        else {
            panic!("another frame")
        };
        assert_eq!((there, *there_ready, is_bot), (reference, ready, true));
        assert_eq!(user_session.read(session.id, session.device), session);
    }

    #[test]
    fn events_of_users_are_the_same_in_another_region() {
        let ack =
            MessageAck { channel_id: ChannelId::new(1), message_id: MessageId::new(2), version: 3, mention_count: 4 };
        let update = VoiceServerUpdate {
            token: VoiceToken::new("secret"),
            guild_id: None,
            channel_id: Some(ChannelId::new(5)),
            endpoint: None,
        };
        let call = CallUpdate {
            channel_id: ChannelId::new(5),
            message_id: MessageId::new(1 << 60),
            region: "eu".into(),
            ringing: vec![UserId::new(1 << 60)],
        };
        for event in [
            Event::CallSession(Box::new(CallSessionEvent {
                session_name: u128::MAX - 5,
                event: Event::VoiceServerUpdate(update),
            })),
            Event::CallCreate(Box::new(CallCreate { call, voice_states: Vec::new() })),
            Event::MessageAck(ack),
            Event::ChannelCreate(Channel::new(ChannelId::new(5), ChannelType::GroupDm)),
            Event::UserUpdate(Box::new(Account::new(User::new(UserId::new(1 << 60), "alice")).current_user())),
            Event::SessionsReplace(Vec::new()),
            Event::Resumed,
        ] {
            assert_eq!(read_event(&write_event(&event)).expect("an event"), event);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert!(Frame::decode(b"").is_err() && Frame::decode(&[0xff; 40]).is_err());
        let mut later = Vec::new();
        ciborium::into_writer(&std::collections::BTreeMap::from([("OfALaterVersion", 1)]), &mut later).expect("a map");
        assert!(Frame::decode(&later).is_err());
    }
}
