//! What a case is made of.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// A case of the suite.
pub struct Case {
    /// Its number in the suite.
    pub id: String,
    pub steps: Vec<Step>,
    /// What is to come back.
    pub wanted: Vec<Event>,
    /// What the suite lets pass as well, as not strict.
    pub tolerated: Option<Vec<Event>>,
    pub end: End,
    /// What the suite calls the answer that we give.
    pub ours: Grade,
}

/// How an answer is judged that is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    Ok,
    NonStrict,
    /// The suite judges nothing here; these cases are held to their tables nevertheless.
    Informational,
}

/// How the connection ends.
pub struct End {
    /// Who sends the first close frame.
    pub by: Side,
    /// What the server's close frame may say; the peer's own says the first of them.
    pub codes: Vec<u16>,
    /// Both close frames, then the server ends the stream without a reset.
    pub is_clean: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Peer,
    Server,
}

/// What the peer does.
pub enum Step {
    Send(Frame, Chop),
    /// A close frame with this body, by which the peer closes.
    Close(Bytes),
    /// Begins a text frame of this length, of whose body these bytes come first.
    Begin(usize, Bytes),
    /// More of the body of the frame that was begun.
    Part(Bytes),
    /// Waits until so many events came.
    Hear(usize),
    /// Waits so long for the connection to be closed, and notes with this letter that it was not.
    StaysOpen(char, Duration),
}

/// How bytes are cut.
#[derive(Clone, Copy)]
pub enum Chop {
    /// In one write with what comes before and behind.
    Joined,
    /// A frame in a write of its own.
    Alone,
    /// So many bytes in each write.
    Octets(usize),
}

/// A frame of the peer, right or wrong.
#[derive(Clone)]
pub struct Frame {
    pub is_final: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    Message {
        is_text: bool,
        body: Bytes,
    },
    Ping(Bytes),
    Pong(Bytes),
    /// It was still open.
    StayedOpen(char),
}

impl Case {
    /// Something comes back, then the peer closes with 1000.
    pub fn echoed(id: impl Into<String>, steps: Vec<Step>, wanted: Vec<Event>) -> Self {
        let end = End { by: Side::Peer, codes: vec![1000], is_clean: true };
        Self { id: id.into(), steps, wanted, tolerated: None, end, ours: Grade::Ok }
    }

    /// The server closes with this code.
    pub fn failed(id: impl Into<String>, steps: Vec<Step>, wanted: Vec<Event>, code: u16) -> Self {
        let end = End { by: Side::Server, codes: vec![code], is_clean: false };
        Self { end, ..Self::echoed(id, steps, wanted) }
    }

    pub fn tolerating(self, events: Vec<Event>) -> Self {
        Self { tolerated: Some(events), ..self }
    }
}

impl Frame {
    pub fn new(opcode: u8, body: impl Into<Bytes>) -> Self {
        Self { is_final: true, rsv: 0, opcode, body: body.into() }
    }
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::new(1, body)
    }
    pub fn binary(body: impl Into<Bytes>) -> Self {
        Self::new(2, body)
    }
    pub fn continuation(body: impl Into<Bytes>) -> Self {
        Self::new(0, body)
    }
    pub fn ping(body: impl Into<Bytes>) -> Self {
        Self::new(9, body)
    }
    pub fn pong(body: impl Into<Bytes>) -> Self {
        Self::new(10, body)
    }

    /// A message in fragments of this size.
    pub fn fragments(opcode: u8, body: &Bytes, size: usize) -> Vec<Self> {
        let count = body.len().div_ceil(size).max(1);
        (0..count)
            .map(|i| Self {
                is_final: i == count - 1,
                ..Self::new(if i == 0 { opcode } else { 0 }, body.slice(i * size..body.len().min((i + 1) * size)))
            })
            .collect()
    }

    /// Another fragment follows.
    pub fn unfinished(self) -> Self {
        Self { is_final: false, ..self }
    }
    pub fn rsv(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    pub fn joined(self) -> Step {
        Step::Send(self, Chop::Joined)
    }
    pub fn chopped(self, chop: Chop) -> Step {
        Step::Send(self, chop)
    }
}

impl Event {
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::Message { is_text: true, body: body.into() }
    }
    pub fn binary(body: impl Into<Bytes>) -> Self {
        Self::Message { is_text: false, body: body.into() }
    }
    pub fn pong(body: impl Into<Bytes>) -> Self {
        Self::Pong(body.into())
    }
}

/// A body by its length and its beginning.
struct Brief<'a>(&'a Bytes);

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {:?}", self.0.len(), self.0.slice(..self.0.len().min(32)))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { is_text, body } => {
                f.debug_tuple(if *is_text { "Text" } else { "Binary" }).field(&Brief(body)).finish()
            }
            Self::Ping(body) => f.debug_tuple("Ping").field(&Brief(body)).finish(),
            Self::Pong(body) => f.debug_tuple("Pong").field(&Brief(body)).finish(),
            Self::StayedOpen(letter) => f.debug_tuple("StayedOpen").field(letter).finish(),
        }
    }
}

/// So many bytes of a pattern that is repeated.
pub fn repeated(pattern: &[u8], bytes: usize) -> Bytes {
    pattern.iter().copied().cycle().take(bytes).collect()
}
