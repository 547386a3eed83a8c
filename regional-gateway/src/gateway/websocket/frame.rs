//! WebSocket frames as a server reads and writes them (RFC 6455), without a socket.
//!
//! The handshake is tungstenite's. Frames are read and written here because a gateway holds tens of thousands of idle
//! connections: this reader keeps no buffer while nothing is half read, and a written payload is the shared bytes of the
//! event, not a copy for each session.

use std::fmt;

/// The longest header that a server writes: two bytes and an eight-byte length.
pub const HEADER_MAX_BYTES: usize = 10;
/// The longest body of a control frame (RFC 6455, section 5.5).
const CONTROL_MAX_BYTES: usize = 125;
/// Fragments of a message that it may have whatever its size, and bytes for each further one: an endless row of empty
/// fragments is no message.
const FRAGMENTS_FREE: u32 = 64;
const FRAGMENT_MIN_BYTES: usize = 32;
/// Capacity above which an emptied buffer is given back.
const KEEP_CAPACITY_BYTES: usize = 256;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A whole message from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message, fragments put together.
    Text(String),
    /// A binary message, fragments put together.
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// The code, if there was one.
    Close(Option<u16>),
}

/// The client broke the protocol, or sent more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a message is longer than {max_bytes} bytes")]
    TooLong { max_bytes: usize },
    #[error("a message has more than {max} fragments")]
    TooManyFragments { max: u32 },
    #[error("{0}")]
    Protocol(&'static str),
}

/// Takes bytes in any portions and gives whole messages.
pub struct FrameReader {
    /// Bytes that came; up to `taken` they were frames and are done with.
    pending: Vec<u8>,
    taken: usize,
    /// What came so far of a message in fragments.
    fragments: Option<Box<Fragments>>,
    max_message_bytes: usize,
}

struct Fragments {
    opcode: u8,
    body: Vec<u8>,
    count: u32,
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("pending_bytes", &(self.pending.len() - self.taken)).finish_non_exhaustive()
    }
}

struct Header {
    is_final: bool,
    opcode: u8,
    header_bytes: usize,
    body_bytes: usize,
    mask: [u8; 4],
}

impl FrameReader {
    /// A reader that refuses messages longer than this.
    pub fn new(max_message_bytes: usize) -> Self {
        Self { pending: Vec::new(), taken: 0, fragments: None, max_message_bytes }
    }

    /// Adds bytes as they came from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        // Once for each portion and not for each frame: many small frames come in one.
        self.pending.drain(..self.taken);
        self.taken = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    pub fn next_message(&mut self) -> Result<Option<Incoming>, FrameError> {
        loop {
            let Some(header) = self.parse_header()? else { return Ok(self.wait()) };
            let begin = self.taken + header.header_bytes;
            let Some(masked) = self.pending.get(begin..begin + header.body_bytes) else { return Ok(self.wait()) };
            let mut body = masked.to_vec();
            for (i, byte) in body.iter_mut().enumerate() {
                *byte ^= header.mask[i & 3];
            }
            self.taken = begin + header.body_bytes;
            if let Some(message) = self.take_frame(&header, body)? {
                return Ok(Some(message));
            }
        }
    }

    /// Nothing whole: gives memory back where nothing is half read either.
    fn wait(&mut self) -> Option<Incoming> {
        if self.taken == self.pending.len() {
            self.taken = 0;
            self.pending.clear();
            if self.pending.capacity() > KEEP_CAPACITY_BYTES {
                self.pending = Vec::new();
            }
        }
        None
    }

    fn parse_header(&self) -> Result<Option<Header>, FrameError> {
        let pending = &self.pending[self.taken..];
        let [first, second, ..] = *pending else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(FrameError::Protocol("a reserved bit is set"));
        }
        if second & 0x80 == 0 {
            return Err(FrameError::Protocol("a client's frame is not masked"));
        }
        let (length_bytes, body_bytes) = match second & 0x7f {
            126 => match pending.get(2..4) {
                Some(&[a, b]) => (2, u64::from(u16::from_be_bytes([a, b]))),
                _ => return Ok(None),
            },
            127 => match pending.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
                Some(bytes) => (8, u64::from_be_bytes(bytes)),
                None => return Ok(None),
            },
            short => (0, u64::from(short)),
        };
        let opcode = first & 0x0f;
        let is_final = first & 0x80 != 0;
        if opcode >= 8 && (!is_final || body_bytes > CONTROL_MAX_BYTES as u64) {
            return Err(FrameError::Protocol("a control frame is fragmented or too long"));
        }
        let before = self.fragments.as_ref().map_or(0, |fragments| fragments.body.len());
        // Refused by its header alone, so that nobody makes us hold a body that we would not take.
        let body_bytes = usize::try_from(body_bytes)
            .ok()
            .filter(|n| opcode >= 8 || n.saturating_add(before) <= self.max_message_bytes)
            .ok_or(FrameError::TooLong { max_bytes: self.max_message_bytes })?;
        let header_bytes = 2 + length_bytes + 4;
        let mask = pending.get(header_bytes - 4..header_bytes).and_then(|mask| <[u8; 4]>::try_from(mask).ok());
        let Some(mask) = mask else { return Ok(None) };
        Ok(Some(Header { is_final, opcode, header_bytes, body_bytes, mask }))
    }

    fn take_frame(&mut self, header: &Header, body: Vec<u8>) -> Result<Option<Incoming>, FrameError> {
        match (header.opcode, self.fragments.as_mut()) {
            (0, Some(fragments)) => {
                fragments.add(&body, self.max_message_bytes)?;
                match self.fragments.take_if(|_| header.is_final) {
                    Some(fragments) => whole(fragments.opcode, fragments.body).map(Some),
                    None => Ok(None),
                }
            }
            (0, None) => Err(FrameError::Protocol("a continuation without a beginning")),
            (1 | 2, Some(_)) => Err(FrameError::Protocol("a message inside a fragmented one")),
            (opcode @ (1 | 2), None) if header.is_final => whole(opcode, body).map(Some),
            (opcode @ (1 | 2), None) => {
                self.fragments = Some(Box::new(Fragments { opcode, body, count: 1 }));
                Ok(None)
            }
            (8, _) => match body[..] {
                [] => Ok(Some(Incoming::Close(None))),
                [_] => Err(FrameError::Protocol("half a close code")),
                [a, b, ref reason @ ..] => {
                    let code = u16::from_be_bytes([a, b]);
                    let is_valid = may_be_sent(code) && std::str::from_utf8(reason).is_ok();
                    let broken = FrameError::Protocol("a close frame that must not be sent");
                    if is_valid { Ok(Some(Incoming::Close(Some(code)))) } else { Err(broken) }
                }
            },
            (9, _) => Ok(Some(Incoming::Ping(body))),
            (10, _) => Ok(Some(Incoming::Pong)),
            _ => Err(FrameError::Protocol("an unknown opcode")),
        }
    }
}

impl Fragments {
    fn add(&mut self, body: &[u8], max_message_bytes: usize) -> Result<(), FrameError> {
        self.count += 1;
        let for_size = u32::try_from(max_message_bytes / FRAGMENT_MIN_BYTES).unwrap_or(u32::MAX);
        let max = FRAGMENTS_FREE.saturating_add(for_size);
        if self.count > max {
            return Err(FrameError::TooManyFragments { max });
        }
        self.body.extend_from_slice(body);
        Ok(())
    }
}

/// Whether a close frame may have this code (RFC 6455, section 7.4).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn whole(opcode: u8, body: Vec<u8>) -> Result<Incoming, FrameError> {
    if opcode == FrameKind::Text as u8 {
        String::from_utf8(body).map(Incoming::Text).map_err(|_| FrameError::Protocol("text is not UTF-8"))
    } else {
        Ok(Incoming::Binary(body))
    }
}

/// Writes the header of an unfragmented, unmasked frame and says how long it is.
pub fn write_header(kind: FrameKind, body_bytes: usize, out: &mut [u8; HEADER_MAX_BYTES]) -> usize {
    out[0] = 0x80 | kind as u8;
    if let Some(short) = u8::try_from(body_bytes).ok().filter(|n| *n < 126) {
        out[1] = short;
        2
    } else if let Ok(medium) = u16::try_from(body_bytes) {
        out[1] = 126;
        out[2..4].copy_from_slice(&medium.to_be_bytes());
        4
    } else {
        out[1] = 127;
        out[2..10].copy_from_slice(&(body_bytes as u64).to_be_bytes());
        10
    }
}

/// The body of a close frame: the code and as much of the reason as fits.
pub fn close_body(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CONTROL_MAX_BYTES - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut body = Vec::with_capacity(2 + end);
    body.extend_from_slice(&code.to_be_bytes());
    body.extend_from_slice(&reason.as_bytes()[..end]);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_frame(first: u8, body: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER_MAX_BYTES];
        let len = write_header(FrameKind::Text, body.len(), &mut header);
        header[0] = first;
        header[1] |= 0x80;
        let mask = [7, 99, 0, 255];
        let mut out = header[..len].to_vec();
        out.extend_from_slice(&mask);
        out.extend(body.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
        out
    }

    fn read_all(reader: &mut FrameReader) -> Vec<Incoming> {
        std::iter::from_fn(|| reader.next_message().unwrap()).collect()
    }

    #[test]
    fn a_message_comes_whole_however_the_bytes_are_cut() {
        let body = "x".repeat(300);
        let wire = client_frame(0x81, body.as_bytes());
        for cut in 0..wire.len() {
            let mut reader = FrameReader::new(4096);
            reader.push(&wire[..cut]);
            assert_eq!(reader.next_message(), Ok(None), "cut at {cut}");
            reader.push(&wire[cut..]);
            assert_eq!(read_all(&mut reader), [Incoming::Text(body.clone())]);
        }
    }

    #[test]
    fn fragments_are_joined_and_a_ping_may_come_between() {
        let mut reader = FrameReader::new(16);
        for (first, body) in [(0x01, "ab"), (0x89, "hi"), (0x00, "cd"), (0x80, "ef"), (0x88, "\x0c\u{0}")] {
            reader.push(&client_frame(first, body.as_bytes()));
        }
        let wanted = [Incoming::Ping(b"hi".to_vec()), Incoming::Text("abcdef".into()), Incoming::Close(Some(3072))];
        assert_eq!(read_all(&mut reader), wanted);
        assert_eq!(reader.pending.capacity() <= KEEP_CAPACITY_BYTES, reader.pending.is_empty());
    }

    #[test]
    fn what_the_protocol_forbids_is_refused() {
        let unmasked = vec![0x81, 1, b'x'];
        let long_ping = client_frame(0x89, &[0; 126]);
        let lonely_continuation = client_frame(0x80, b"x");
        let nested = [client_frame(0x01, b"a"), client_frame(0x81, b"b")].concat();
        let reserved = client_frame(0xc1, b"a");
        let unknown = client_frame(0x83, b"a");
        let half_code = client_frame(0x88, b"a");
        let bad_text = client_frame(0x81, &[0xff]);
        let no_code = client_frame(0x88, &1005_u16.to_be_bytes());
        let bad_reason = client_frame(0x88, &[0x03, 0xe8, 0xff]);
        let closes = [half_code, no_code, bad_reason];
        for wire in
            [bad_text, unmasked, long_ping, lonely_continuation, nested, reserved, unknown].into_iter().chain(closes)
        {
            let mut reader = FrameReader::new(4096);
            reader.push(&wire);
            assert!(matches!(reader.next_message(), Err(FrameError::Protocol(_))), "{wire:?}");
        }
    }

    #[test]
    fn too_long_is_told_by_the_header_and_by_the_sum_of_fragments() {
        let mut reader = FrameReader::new(10);
        reader.push(&client_frame(0x81, &[0; 11])[..3]);
        assert_eq!(reader.next_message(), Err(FrameError::TooLong { max_bytes: 10 }));
        let mut reader = FrameReader::new(10);
        reader.push(&client_frame(0x01, &[0; 10]));
        reader.push(&client_frame(0x80, &[0; 1]));
        assert_eq!(reader.next_message(), Err(FrameError::TooLong { max_bytes: 10 }));
        let mut reader = FrameReader::new(10);
        reader.push(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(reader.next_message(), Err(FrameError::TooLong { max_bytes: 10 }));
    }

    #[test]
    fn many_small_frames_in_one_portion_are_read_in_one_go() {
        let mut reader = FrameReader::new(16);
        let wire = client_frame(0x81, b"x").repeat(20_000);
        reader.push(&wire[..wire.len() - 1]);
        assert_eq!(read_all(&mut reader).len(), 19_999);
        reader.push(&wire[wire.len() - 1..]);
        assert_eq!((read_all(&mut reader).len(), reader.pending.capacity()), (1, 0));
    }

    #[test]
    fn fragments_without_end_are_refused() {
        let mut reader = FrameReader::new(320);
        reader.push(&client_frame(0x01, b""));
        for _ in 0..FRAGMENTS_FREE + 9 {
            reader.push(&client_frame(0x00, b""));
            assert_eq!(reader.next_message(), Ok(None));
        }
        reader.push(&client_frame(0x00, b""));
        assert_eq!(reader.next_message(), Err(FrameError::TooManyFragments { max: FRAGMENTS_FREE + 10 }));
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let body = close_body(4000, &"é".repeat(100));
        assert_eq!(body.len(), 2 + 122);
        assert!(std::str::from_utf8(&body[2..]).is_ok());
    }
}
