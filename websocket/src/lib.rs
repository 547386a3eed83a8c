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
    #[error("text is not UTF-8")]
    NotUtf8,
    #[error("{0}")]
    Protocol(&'static str),
}

/// Takes bytes in any portions and gives whole messages.
///
/// Text that is not UTF-8 is refused at the first byte that shows it, not at the end of its frame or message.
pub struct FrameReader {
    /// Bytes that came; up to `taken` they were read and are done with.
    pending: Vec<u8>,
    taken: usize,
    /// A message of which a part came; boxed, because mostly there is none.
    partial: Option<Box<Partial>>,
    max_message_bytes: usize,
}

/// A message in fragments, or whose only frame is not here as a whole.
struct Partial {
    opcode: u8,
    body: Vec<u8>,
    /// Up to here the body of a text is UTF-8.
    checked: usize,
    fragments: u32,
    /// The frame whose body comes.
    frame: Header,
    /// Bytes of it that came.
    came: usize,
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

impl Header {
    const fn is_control(&self) -> bool {
        self.opcode >= 8
    }
}

impl FrameReader {
    /// A reader that refuses messages longer than this.
    pub fn new(max_message_bytes: usize) -> Self {
        Self { pending: Vec::new(), taken: 0, partial: None, max_message_bytes }
    }

    /// Adds bytes as they came from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        // Once for each portion and not for each frame: many small frames come in one.
        self.pending.drain(..self.taken);
        self.taken = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one; after an error there is none any more.
    pub fn next_message(&mut self) -> Result<Option<Incoming>, FrameError> {
        loop {
            if let Some(partial) = &mut self.partial {
                self.taken += partial.take(&self.pending[self.taken..])?;
                if !partial.frame_is_whole() {
                    return Ok(self.wait());
                }
                if let Some(partial) = self.partial.take_if(|partial| partial.frame.is_final) {
                    return data(partial.opcode, partial.body).map(Some);
                }
            }
            let Some(header) = self.parse_header()? else { return Ok(self.wait()) };
            let begin = self.taken + header.header_bytes;
            let whole = self.pending.get(begin..begin + header.body_bytes);
            match whole.filter(|_| header.is_control() || (header.is_final && self.partial.is_none())) {
                // What mostly comes, by the short way.
                Some(masked) => {
                    let mut body = Vec::with_capacity(masked.len());
                    unmask(masked, header.mask, 0, &mut body);
                    self.taken = begin + header.body_bytes;
                    let message = if header.is_control() { control } else { data };
                    return message(header.opcode, body).map(Some);
                }
                None if header.is_control() => return Ok(self.wait()),
                None => {
                    self.taken = begin;
                    self.begin_frame(header)?;
                }
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
        let opcode = first & 0x0f;
        let is_final = first & 0x80 != 0;
        self.check_order(opcode)?;
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
        if opcode >= 8 && (!is_final || body_bytes > CONTROL_MAX_BYTES as u64) {
            return Err(FrameError::Protocol("a control frame is fragmented or too long"));
        }
        let before = self.partial.as_ref().map_or(0, |partial| partial.body.len());
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

    /// Whether a frame with this opcode may come now.
    fn check_order(&self, opcode: u8) -> Result<(), FrameError> {
        let mistake = match (opcode, &self.partial) {
            (0, Some(_)) | (1 | 2, None) | (8..=10, _) => return Ok(()),
            (0, None) => "a continuation without a beginning",
            (1 | 2, Some(_)) => "a message inside a fragmented one",
            _ => "an unknown opcode",
        };
        Err(FrameError::Protocol(mistake))
    }

    /// Makes room for the body of a data frame.
    fn begin_frame(&mut self, header: Header) -> Result<(), FrameError> {
        match &mut self.partial {
            Some(partial) => partial.continue_with(header, self.max_message_bytes),
            None => {
                self.partial = Some(Box::new(Partial {
                    opcode: header.opcode,
                    body: Vec::new(),
                    checked: 0,
                    fragments: 1,
                    frame: header,
                    came: 0,
                }));
                Ok(())
            }
        }
    }
}

impl Partial {
    fn continue_with(&mut self, header: Header, max_message_bytes: usize) -> Result<(), FrameError> {
        self.fragments += 1;
        let for_size = u32::try_from(max_message_bytes / FRAGMENT_MIN_BYTES).unwrap_or(u32::MAX);
        let max = FRAGMENTS_FREE.saturating_add(for_size);
        if self.fragments > max {
            return Err(FrameError::TooManyFragments { max });
        }
        (self.frame, self.came) = (header, 0);
        Ok(())
    }

    const fn frame_is_whole(&self) -> bool {
        self.came == self.frame.body_bytes
    }

    /// Takes of these bytes what belongs to the frame; how many.
    fn take(&mut self, masked: &[u8]) -> Result<usize, FrameError> {
        let taken = masked.len().min(self.frame.body_bytes - self.came);
        unmask(&masked[..taken], self.frame.mask, self.came, &mut self.body);
        self.came += taken;
        if self.opcode == FrameKind::Text as u8 {
            self.check_text()?;
        }
        Ok(taken)
    }

    fn check_text(&mut self) -> Result<(), FrameError> {
        match std::str::from_utf8(&self.body[self.checked..]) {
            Ok(_) => self.checked = self.body.len(),
            // A character that may go on in what comes.
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(FrameError::NotUtf8),
        }
        Ok(())
    }
}

/// Appends unmasked what begins at this byte of a frame's body.
fn unmask(masked: &[u8], mut mask: [u8; 4], at: usize, out: &mut Vec<u8>) {
    mask.rotate_left(at & 3);
    let begin = out.len();
    out.extend_from_slice(masked);
    for (i, byte) in out[begin..].iter_mut().enumerate() {
        *byte ^= mask[i & 3];
    }
}

fn data(opcode: u8, body: Vec<u8>) -> Result<Incoming, FrameError> {
    if opcode == FrameKind::Text as u8 {
        String::from_utf8(body).map(Incoming::Text).map_err(|_| FrameError::NotUtf8)
    } else {
        Ok(Incoming::Binary(body))
    }
}

fn control(opcode: u8, body: Vec<u8>) -> Result<Incoming, FrameError> {
    match (opcode, &body[..]) {
        (9, _) => Ok(Incoming::Ping(body)),
        (10, _) => Ok(Incoming::Pong),
        (_, []) => Ok(Incoming::Close(None)),
        (_, [_]) => Err(FrameError::Protocol("half a close code")),
        (_, [a, b, reason @ ..]) => {
            let code = u16::from_be_bytes([*a, *b]);
            if !may_be_sent(code) {
                return Err(FrameError::Protocol("a close code that must not be sent"));
            }
            std::str::from_utf8(reason).map_err(|_| FrameError::NotUtf8)?;
            Ok(Incoming::Close(Some(code)))
        }
    }
}

/// Whether a close frame may have this code (RFC 6455, section 7.4).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
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
    fn fragments_come_whole_however_the_bytes_are_cut() {
        let text = "aé€\u{10348}z".repeat(3);
        // Fragments end within characters too.
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(5).collect();
        let wire: Vec<u8> = pieces
            .iter()
            .enumerate()
            .flat_map(|(i, piece)| {
                let is_final = i == pieces.len() - 1;
                client_frame((u8::from(is_final) << 7) | u8::from(i == 0), piece)
            })
            .collect();
        for portion in 1..wire.len() {
            let mut reader = FrameReader::new(4096);
            let mut got = Vec::new();
            for bytes in wire.chunks(portion) {
                reader.push(bytes);
                got.extend(read_all(&mut reader));
            }
            assert_eq!(got, [Incoming::Text(text.clone())], "portions of {portion}");
            assert!(reader.partial.is_none());
        }
    }

    #[test]
    fn text_is_refused_at_the_first_byte_that_is_not_utf8() {
        // The third byte makes it a surrogate; the frame goes on, and the message as well.
        for first in [0x01, 0x81] {
            let wire = client_frame(first, b"a\xed\xa0\x80bc");
            let bad = 6 + 2;
            let mut reader = FrameReader::new(4096);
            reader.push(&wire[..bad]);
            assert_eq!(reader.next_message(), Ok(None));
            reader.push(&wire[bad..=bad]);
            assert_eq!(reader.next_message(), Err(FrameError::NotUtf8));
        }
        // The end comes too early, in a fragment of its own.
        let mut reader = FrameReader::new(4096);
        reader.push(&client_frame(0x01, b"a\xe2\x82"));
        assert_eq!(reader.next_message(), Ok(None));
        reader.push(&client_frame(0x80, b""));
        assert_eq!(reader.next_message(), Err(FrameError::NotUtf8));
        let mut reader = FrameReader::new(4096);
        reader.push(&client_frame(0x02, b"\xff"));
        reader.push(&client_frame(0x80, b"\xfe"));
        assert_eq!(reader.next_message(), Ok(Some(Incoming::Binary(vec![0xff, 0xfe]))));
    }

    #[test]
    fn what_may_not_come_is_refused_by_its_first_bytes() {
        for first in [0x83, 0x8b, 0x80, 0x00] {
            let mut reader = FrameReader::new(4096);
            reader.push(&[first, 0xfe]);
            assert!(matches!(reader.next_message(), Err(FrameError::Protocol(_))), "{first:x}");
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
        let no_code = client_frame(0x88, &1005_u16.to_be_bytes());
        let closes = [half_code, no_code];
        for wire in [unmasked, long_ping, lonely_continuation, nested, reserved, unknown].into_iter().chain(closes) {
            let mut reader = FrameReader::new(4096);
            reader.push(&wire);
            assert!(matches!(reader.next_message(), Err(FrameError::Protocol(_))), "{wire:?}");
        }
        for wire in [client_frame(0x81, &[0xff]), client_frame(0x88, &[0x03, 0xe8, 0xff])] {
            let mut reader = FrameReader::new(4096);
            reader.push(&wire);
            assert_eq!(reader.next_message(), Err(FrameError::NotUtf8));
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
        assert_eq!((read_all(&mut reader).len(), reader.pending.len()), (1, 0));
        assert!(reader.pending.capacity() <= KEEP_CAPACITY_BYTES && reader.partial.is_none());
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
