//! A dispatched event, serialised once for all sessions that get it.

use bytes::Bytes;
use rookery_model::UserId;
use rookery_model::gateway::event::{EventData, MessageEvent};
use rookery_model::gateway::{Event, Intents};
use rookery_model::message::Message;
use std::sync::{Arc, OnceLock};

use crate::compression::{zlib, zstd};
use crate::params::Encoding;
use crate::{cbor, etf};

/// An event on its way to many sessions.
///
/// Its data is written the first time that a session needs it in an encoding and [`Exposure`], and shared from then on;
/// a session adds only its own sequence number around it.
#[derive(Debug)]
pub struct Payload {
    event: Event,
    json: Forms,
    etf: Forms,
    cbor: Forms,
    transit: OnceLock<Bytes>,
}

/// The forms of the data in one encoding.
#[derive(Debug, Default)]
struct Forms {
    full: OnceLock<Form>,
    /// Rarely needed: messages in guilds, for bots without the content intent.
    reduced: OnceLock<Box<[OnceLock<Form>; 3]>>,
}

/// Data as it is written, and compressed if somebody needs it so.
#[derive(Debug)]
pub(crate) struct Form {
    plain: Bytes,
    zlib: OnceLock<zlib::Blocks>,
    zstd: OnceLock<Bytes>,
}

impl Form {
    pub(crate) const fn new(plain: Bytes) -> Self {
        Self { plain, zlib: OnceLock::new(), zstd: OnceLock::new() }
    }
    pub(crate) const fn plain(&self) -> &Bytes {
        &self.plain
    }
}

/// The data of an event on its way out.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// What is made of it is kept for other sessions.
    Shared(&'a Form),
    /// For this session alone, and mostly for once.
    Own(&'a Bytes),
}

impl<'a> Body<'a> {
    pub(crate) const fn plain(self) -> &'a Bytes {
        match self {
            Self::Shared(form) => form.plain(),
            Self::Own(data) => data,
        }
    }
    /// With the tail that its encoding has, in blocks for any zlib stream.
    pub(crate) fn zlib(self, tail: &[u8], level: u32) -> zlib::Blocks {
        match self {
            Self::Shared(form) => form.zlib.get_or_init(|| zlib::deflate(&form.plain, tail, level)).clone(),
            Self::Own(data) => zlib::deflate(data, tail, level),
        }
    }
    /// The same for any zstd stream.
    pub(crate) fn zstd(self, tail: &[u8]) -> Bytes {
        match self {
            Self::Shared(form) => form.zstd.get_or_init(|| zstd::compress(&form.plain, tail)).clone(),
            Self::Own(data) => zstd::compress(data, tail),
        }
    }
}

/// How much of a message's content a session gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Exposure {
    Full,
    /// The message, but not that of the message it replies to.
    OuterOnly,
    /// The content of the message replied to only.
    ReferencedOnly,
    Hidden,
}

impl Payload {
    /// Wraps an event for dispatch.
    pub fn new(event: Event) -> Arc<Self> {
        Arc::new(Self {
            event,
            json: Forms::default(),
            etf: Forms::default(),
            cbor: Forms::default(),
            transit: OnceLock::new(),
        })
    }
    /// The event inside.
    pub const fn event(&self) -> &Event {
        &self.event
    }
    /// The event as it goes to other processes, written the first time that one of them needs it.
    pub fn transit(&self, write: impl FnOnce(&Event) -> Bytes) -> &Bytes {
        self.transit.get_or_init(|| write(&self.event))
    }
    /// The event's name, `t` on the wire.
    pub const fn name(&self) -> &'static str {
        self.event.name()
    }
    /// The data as a session of this user gets it; for tests and measurements outside sessions.
    pub fn data_for(&self, encoding: Encoding, viewer: UserId, intents: Option<Intents>) -> Bytes {
        self.form(encoding, self.exposure(viewer, sees_content(intents))).plain().clone()
    }

    /// What a session may see: everything with the intent, and without it what is the user's own or meant for them.
    ///
    /// Source: "Message Content Intent" of the API's documentation.
    pub(crate) fn exposure(&self, viewer: UserId, sees_content: bool) -> Exposure {
        let message = match &self.event {
            Event::MessageCreate(m) | Event::MessageUpdate(m) if !sees_content && m.guild_id.is_some() => m,
            _ => return Exposure::Full,
        };
        let outer = is_for(&message.message, viewer);
        let referenced = referenced(&message.message).is_none_or(|r| is_for(r, viewer));
        match (outer, referenced) {
            (true, true) => Exposure::Full,
            (true, false) => Exposure::OuterOnly,
            // With nothing referred to, hiding all is the same and shared with more sessions.
            (false, true) if referenced_exists(&message.message) => Exposure::ReferencedOnly,
            (false, _) => Exposure::Hidden,
        }
    }

    pub(crate) fn form(&self, encoding: Encoding, exposure: Exposure) -> &Form {
        let forms = match encoding {
            Encoding::Json => &self.json,
            Encoding::Etf => &self.etf,
            Encoding::Cbor => &self.cbor,
        };
        let place = match exposure {
            Exposure::Full => return forms.full.get_or_init(|| Form::new(serialize(encoding, &self.event))),
            Exposure::OuterOnly => 0,
            Exposure::ReferencedOnly => 1,
            Exposure::Hidden => 2,
        };
        forms.reduced.get_or_init(Box::default)[place]
            .get_or_init(|| Form::new(self.serialize_reduced(encoding, exposure)))
    }

    fn serialize_reduced(&self, encoding: Encoding, exposure: Exposure) -> Bytes {
        let (Event::MessageCreate(message) | Event::MessageUpdate(message)) = &self.event else {
            return serialize(encoding, &self.event);
        };
        let mut message: Box<MessageEvent> = message.clone();
        if matches!(exposure, Exposure::OuterOnly | Exposure::Hidden)
            && let Some(Some(referenced)) = &mut message.message.referenced_message
        {
            hide(referenced);
        }
        if matches!(exposure, Exposure::ReferencedOnly | Exposure::Hidden) {
            hide(&mut message.message);
        }
        // Create and update have the same data.
        serialize(encoding, &Event::MessageCreate(message))
    }
}

/// Whether a session with these intents sees the content of all messages; people have no intents and see all.
pub(crate) fn sees_content(intents: Option<Intents>) -> bool {
    intents.is_none_or(|i| i.contains(Intents::MESSAGE_CONTENT))
}

fn referenced(message: &Message) -> Option<&Message> {
    message.referenced_message.as_ref()?.as_deref()
}

fn referenced_exists(message: &Message) -> bool {
    referenced(message).is_some()
}

fn is_for(message: &Message, viewer: UserId) -> bool {
    message.author.id == viewer || message.mentions.iter().any(|u| u.id == viewer)
}

fn hide(message: &mut Message) {
    message.content.clear();
    message.embeds.clear();
    message.attachments.clear();
    message.components.clear();
}

/// Writes an event's data.
pub(crate) fn serialize(encoding: Encoding, event: &Event) -> Bytes {
    const WRITABLE: &str = "events are maps with text keys, shorter than 4 GiB, written to memory";
    match encoding {
        Encoding::Json => serde_json::to_vec(&EventData(event)).expect(WRITABLE).into(),
        Encoding::Etf => {
            let mut out = Vec::with_capacity(512);
            etf::write_term(&mut out, &EventData(event)).expect(WRITABLE);
            out.into()
        }
        Encoding::Cbor => {
            let mut out = Vec::with_capacity(512);
            cbor::write_value(&mut out, &EventData(event)).expect(WRITABLE);
            out.into()
        }
    }
}
