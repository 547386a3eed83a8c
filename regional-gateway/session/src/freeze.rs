//! Sessions as data: what a process writes down when it ends, and the next one continues with.
//!
//! A session is frozen with all that RESUME needs, its events in the session's encoding. Events that many sessions have
//! stand once, in a table beside them: a [`Freezer`] collects it while it freezes sessions one after another,
//! [`ThawedPayloads`] is the table read back. Both parts are plain data for any `serde` format; how they are stored, and
//! that they are stored whole, is the shell's business. What cannot be right is refused, whoever wrote it.

use bytes::Bytes;
use flate2::Crc;
use rookery_model::UserId;
use rookery_model::gateway::{Intents, Shard};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

use crate::config::SessionConfig;
use crate::params::Encoding;
use crate::payload::{Exposure, Form, Payload};
use crate::replay::{Own, Replay, Stored};
use crate::session::{Session, SessionInit};

/// The form of the data; it changes when an older process could not read a newer one's.
const VERSION: u16 = 1;
const SESSION_ID_MAX_BYTES: usize = 256;
const NAME_MAX_BYTES: usize = 64;
const EVENTS_MAX: usize = 1 << 20;

/// An event's data in one encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FrozenPayload {
    name: String,
    encoding: Encoding,
    ephemeral: bool,
    /// CRC-32 of the data.
    checksum: u32,
    data: Bytes,
}

/// The events that frozen sessions have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenPayloads {
    version: u16,
    payloads: Vec<FrozenPayload>,
}

impl FrozenPayloads {
    /// How many events there are.
    pub const fn len(&self) -> usize {
        self.payloads.len()
    }
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum FrozenEvent {
    /// Its place among the [`FrozenPayloads`].
    #[serde(rename = "s")]
    Shared(u32),
    #[serde(rename = "o")]
    Own(FrozenPayload),
}

/// A session that waits for RESUME, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenSession {
    version: u16,
    session_id: String,
    user_id: UserId,
    intents: Option<u64>,
    shard: Option<[u32; 2]>,
    encoding: Encoding,
    /// The number of the first of the events.
    first_seq: u64,
    next_unsent: u64,
    /// What is left of its resume window.
    remaining_ms: u64,
    events: Vec<FrozenEvent>,
}

impl FrozenSession {
    /// What the client knows it by.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }
    /// Whose it is.
    pub const fn user_id(&self) -> UserId {
        self.user_id
    }
    /// The same after so long: its resume window went on.
    #[must_use]
    pub const fn waited(mut self, elapsed_ms: u64) -> Self {
        self.remaining_ms = self.remaining_ms.saturating_sub(elapsed_ms);
        self
    }
}

/// Why frozen data cannot be continued with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThawError {
    #[error("version {0} of frozen sessions is not known")]
    Version(u16),
    #[error("event {0} of the table is damaged")]
    Damaged(usize),
    #[error("an event of the session is damaged")]
    OwnDamaged,
    #[error("the session has an event that the table has not")]
    NoSuchPayload,
    #[error("the session's numbers contradict one another")]
    Numbers,
    #[error("the session has too many events")]
    TooMany,
    #[error("the session's id, intents or shard cannot be")]
    Init,
}

impl FrozenPayload {
    fn new(name: &str, encoding: Encoding, ephemeral: bool, data: &Bytes) -> Self {
        Self { name: name.to_owned(), encoding, ephemeral, checksum: checksum(data), data: data.clone() }
    }
    /// Names go on the wire as they are.
    fn is_sound(&self) -> bool {
        let is_name = !self.name.is_empty() && self.name.len() <= NAME_MAX_BYTES;
        is_name
            && self.name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            && checksum(&self.data) == self.checksum
    }
}

fn checksum(data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(data);
    crc.sum()
}

/// Which of an event's forms a place of the table is: the event's address, and what tells its forms apart.
type Identity = (usize, Option<Exposure>, Encoding);

/// Collects the events of the sessions that are frozen with it.
#[derive(Debug, Default)]
pub struct Freezer {
    payloads: Vec<FrozenPayload>,
    places: HashMap<Identity, u32>,
    /// What has a place lives on, or its address could become another's.
    kept: Vec<Kept>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held, not looked at")]
enum Kept {
    Payload(Arc<Payload>),
    Thawed(Arc<ThawedPayload>),
}

impl Freezer {
    /// A freezer that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The table of all that was frozen.
    pub fn finish(self) -> FrozenPayloads {
        FrozenPayloads { version: VERSION, payloads: self.payloads }
    }

    fn event(&mut self, event: &Stored, encoding: Encoding) -> Option<FrozenEvent> {
        let (identity, payload, kept) = match event {
            Stored::Own(own) => {
                let payload = FrozenPayload::new(&own.name, own.encoding, false, &own.data);
                return Some(FrozenEvent::Own(payload));
            }
            Stored::Shared { payload, exposure, .. } => (
                (Arc::as_ptr(payload) as usize, Some(*exposure), encoding),
                (payload.name(), payload.event().is_ephemeral(), payload.form(encoding, *exposure)),
                Kept::Payload(Arc::clone(payload)),
            ),
            Stored::Thawed(thawed) => (
                (Arc::as_ptr(thawed) as usize, None, thawed.encoding),
                (&*thawed.name, thawed.ephemeral, &thawed.form),
                Kept::Thawed(Arc::clone(thawed)),
            ),
        };
        if let Some(place) = self.places.get(&identity) {
            return Some(FrozenEvent::Shared(*place));
        }
        let place = u32::try_from(self.payloads.len()).ok()?;
        let (name, ephemeral, form) = payload;
        self.payloads.push(FrozenPayload::new(name, identity.2, ephemeral, form.plain()));
        self.places.insert(identity, place);
        self.kept.push(kept);
        Some(FrozenEvent::Shared(place))
    }
}

/// An event that came out of the table, in the one encoding that it was frozen in.
#[derive(Debug)]
pub(crate) struct ThawedPayload {
    pub(crate) name: Box<str>,
    pub(crate) encoding: Encoding,
    pub(crate) ephemeral: bool,
    pub(crate) form: Form,
}

/// The table of frozen events, read back.
#[derive(Debug)]
pub struct ThawedPayloads(Vec<Arc<ThawedPayload>>);

impl ThawedPayloads {
    /// Checks and reads the table.
    pub fn new(frozen: FrozenPayloads) -> Result<Self, ThawError> {
        if frozen.version != VERSION {
            return Err(ThawError::Version(frozen.version));
        }
        let thaw = |(place, payload): (usize, FrozenPayload)| {
            if !payload.is_sound() {
                return Err(ThawError::Damaged(place));
            }
            let FrozenPayload { name, encoding, ephemeral, data, .. } = payload;
            Ok(Arc::new(ThawedPayload { name: name.into(), encoding, ephemeral, form: Form::new(data) }))
        };
        frozen.payloads.into_iter().enumerate().map(thaw).collect::<Result<_, _>>().map(Self)
    }
}

impl Session {
    /// The session as data, as if its connection were lost now; none if it is over.
    pub fn freeze(&self, now_ms: u64, freezer: &mut Freezer) -> Option<FrozenSession> {
        let remaining_ms = self.resume_window_left_ms(now_ms)?;
        let SessionInit { session_id, user_id, intents, shard } = self.init();
        let (replay, encoding) = (self.replay(), self.encoding());
        let events = replay.events().map(|event| freezer.event(event, encoding)).collect::<Option<_>>()?;
        Some(FrozenSession {
            version: VERSION,
            session_id: session_id.to_string(),
            user_id: *user_id,
            intents: intents.map(|intents| intents.bits()),
            shard: shard.map(|shard| [shard.id, shard.count]),
            encoding,
            first_seq: replay.first_seq(),
            next_unsent: self.next_unsent(),
            remaining_ms,
            events,
        })
    }

    /// Continues a frozen session: it waits for RESUME as the original would, for what was left of its window.
    ///
    /// It resumes as the original would have, but only in the encoding that it had.
    pub fn thaw(
        now_ms: u64,
        config: Arc<SessionConfig>,
        frozen: FrozenSession,
        payloads: &ThawedPayloads,
    ) -> Result<Self, ThawError> {
        if frozen.version != VERSION {
            return Err(ThawError::Version(frozen.version));
        }
        let init = frozen.thaw_init()?;
        if frozen.events.len() > EVENTS_MAX {
            return Err(ThawError::TooMany);
        }
        let last_seq = frozen.first_seq.checked_add(frozen.events.len() as u64).ok_or(ThawError::Numbers)? - 1;
        if frozen.first_seq == 0
            || frozen.next_unsent < frozen.first_seq
            || frozen.next_unsent > last_seq.saturating_add(1)
        {
            return Err(ThawError::Numbers);
        }
        let mut replay = Replay::starting_at(frozen.first_seq);
        for event in frozen.events {
            // The bounds hold from the next event on, as they would have.
            replay.push(thaw_event(event, payloads)?, usize::MAX, usize::MAX, u64::MAX);
        }
        let remaining_ms = frozen.remaining_ms.min(config.resume_window_ms);
        let until_ms = now_ms.saturating_add(remaining_ms);
        Ok(Self::detached(init, config, replay, frozen.next_unsent, frozen.encoding, until_ms))
    }
}

impl FrozenSession {
    fn thaw_init(&self) -> Result<SessionInit, ThawError> {
        if self.session_id.is_empty() || self.session_id.len() > SESSION_ID_MAX_BYTES {
            return Err(ThawError::Init);
        }
        let intents = self.intents.map(|bits| Intents::from_bits(bits).ok_or(ThawError::Init)).transpose()?;
        let shard = self.shard.map(|[id, count]| Shard::from_pair(&[id.into(), count.into()]).ok_or(ThawError::Init));
        Ok(SessionInit {
            session_id: self.session_id.as_str().into(),
            user_id: self.user_id,
            intents,
            shard: shard.transpose()?,
        })
    }
}

fn thaw_event(event: FrozenEvent, payloads: &ThawedPayloads) -> Result<Stored, ThawError> {
    match event {
        FrozenEvent::Shared(place) => {
            let payload = usize::try_from(place).ok().and_then(|place| payloads.0.get(place));
            payload.map(|payload| Stored::Thawed(Arc::clone(payload))).ok_or(ThawError::NoSuchPayload)
        }
        FrozenEvent::Own(payload) if payload.is_sound() => {
            let FrozenPayload { name, encoding, data, .. } = payload;
            Ok(Stored::Own(Box::new(Own { name: name.into(), encoding, data })))
        }
        FrozenEvent::Own(_) => Err(ThawError::OwnDamaged),
    }
}
