//! Packets as bytes.
//!
//! A packet is a header and sections; numbers are big endian, those marked *v* are LEB128 of at most ten bytes.
//!
//! | header | |
//! |---|---|
//! | `u8` | version of the format |
//! | `u8`, text | the sender's name, 1 to 160 bytes of UTF-8 |
//! | `u64` | incarnation of the sender, not 0 |
//! | `u64` | incarnation of the receiver as the sender knows it, or 0 |
//!
//! | section | kind `u8`, length `u32`, body |
//! |---|---|
//! | 1 hello | nonce `u64`, newest version spoken `u8` |
//! | 2 hello answered | the same |
//! | 3 digest | epoch *v*, number of the next cell *v*, flags `u8` (1: answer at once) |
//! | 4 acknowledgement | epoch *v*, number of the next cell that is missing *v*, count *v*, then for each run of missing cells how far it begins behind the one before *v*, and its length *v* |
//! | 5 cells | epoch *v*, number of the first *v*, then for each: `length << 2 | last << 1 | first` *v*, if it is the first and not the last of its frame the frame's length *v*, and the bytes |
//!
//! A cell is a frame, or a part of one that is too large for a packet. Sections of unknown kinds are skipped, and what
//! follows the known fields of sections 1 to 3, so that fields can be added; anything else takes a new version. Both ends
//! speak the older one's newest version, which they learn from hellos, and those are always in [`OLDEST`].

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::refused::Refused;

/// The newest version of the format that is spoken.
pub const NEWEST: u8 = 1;
/// The oldest one: that of the release before.
pub const OLDEST: u8 = 1;
/// Bytes of a sender's name.
pub const SOURCE_MAX: usize = 160;
/// Runs of missing cells in one acknowledgement.
pub const RANGES_MAX: usize = 32;
/// More than everything of a packet but the bytes of its cells, when there is one cell.
pub(crate) const OVERHEAD_MAX: usize = 2_048;
/// Numbers of cells stay below, so that no sum overflows.
const SEQ_MAX: u64 = 1 << 62;

const HELLO: u8 = 1;
const HELLO_ACK: u8 = 2;
const DIGEST: u8 = 3;
const ACK: u8 = 4;
const CELLS: u8 = 5;

/// Who sent a packet to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub version: u8,
    pub source: &'a str,
    pub from: u64,
    pub to: u64,
}

/// A challenge, or the answer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub nonce: u64,
    pub newest: u8,
}

/// How far a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    pub epoch: u32,
    /// The number that the next cell will have.
    pub next: u64,
    /// Whether an acknowledgement should come at once.
    pub probe: bool,
}

/// How far a stream was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    pub epoch: u32,
    /// All cells before it are there.
    pub next: u64,
    /// Runs of cells that are missing: first, and how many.
    pub missing: Vec<(u64, u64)>,
}

/// A frame or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub bytes: Bytes,
    pub first: bool,
    pub last: bool,
    /// Length of the whole frame.
    pub frame_bytes: u32,
}

/// Cells that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    pub epoch: u32,
    pub first_seq: u64,
    rest: Bytes,
}

/// One section of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    Hello(Hello),
    HelloAck(Hello),
    Digest(Digest),
    Ack(Ack),
    Cells(Cells),
}

/// The sender of a packet, which tells whose [`Link`](crate::Link) takes it.
///
/// # Errors
/// It is not a packet, or not one of a version that is known.
pub fn peek_source(packet: &[u8]) -> Result<&str, Refused> {
    Ok(header(packet)?.0.source)
}

/// The header of a packet, and its length.
///
/// # Errors
/// As [`peek_source`].
pub fn header(packet: &[u8]) -> Result<(Header<'_>, usize), Refused> {
    let (&version, rest) = packet.split_first().ok_or(Refused::Malformed("empty"))?;
    if !(OLDEST..=NEWEST).contains(&version) {
        return Err(Refused::Version(version));
    }
    let (&length, rest) = rest.split_first().ok_or(SHORT)?;
    let length = usize::from(length);
    if !(1..=SOURCE_MAX).contains(&length) {
        return Err(Refused::Malformed("the sender's name is empty or too long"));
    }
    let (source, mut rest) = rest.split_at_checked(length).ok_or(SHORT)?;
    let source = std::str::from_utf8(source).map_err(|_| Refused::Malformed("the sender's name is not UTF-8"))?;
    let from = rest.try_get_u64().map_err(|_| SHORT)?;
    let to = rest.try_get_u64().map_err(|_| SHORT)?;
    if from == 0 {
        return Err(Refused::Malformed("the sender has no incarnation"));
    }
    Ok((Header { version, source, from, to }, packet.len() - rest.len()))
}

const SHORT: Refused = Refused::Malformed("it ends too early");

/// The sections of a packet behind its header, without those of unknown kinds; after an error it ends.
#[derive(Clone, Debug)]
pub struct Sections {
    rest: Bytes,
}

impl Sections {
    /// Of a packet whose header has so many bytes.
    pub fn new(mut packet: Bytes, header_bytes: usize) -> Self {
        packet.advance(header_bytes.min(packet.len()));
        Self { rest: packet }
    }

    fn read(&mut self) -> Result<Option<Section>, Refused> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let kind = self.rest.try_get_u8().map_err(|_| SHORT)?;
            let length = self.rest.try_get_u32().map_err(|_| SHORT)? as usize;
            if length > self.rest.len() {
                return Err(SHORT);
            }
            let body = self.rest.split_to(length);
            match kind {
                HELLO => return Ok(Some(Section::Hello(read_hello(body)?))),
                HELLO_ACK => return Ok(Some(Section::HelloAck(read_hello(body)?))),
                DIGEST => return Ok(Some(Section::Digest(read_digest(body)?))),
                ACK => return Ok(Some(Section::Ack(read_ack(body)?))),
                CELLS => return Ok(Some(Section::Cells(read_cells(body)?))),
                _ => {}
            }
        }
    }
}

impl Iterator for Sections {
    type Item = Result<Section, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        let section = self.read().transpose();
        if matches!(section, Some(Err(_))) {
            self.rest.clear();
        }
        section
    }
}

fn read_hello(mut body: Bytes) -> Result<Hello, Refused> {
    let nonce = body.try_get_u64().map_err(|_| SHORT)?;
    Ok(Hello { nonce, newest: body.try_get_u8().map_err(|_| SHORT)? })
}

fn read_digest(mut body: Bytes) -> Result<Digest, Refused> {
    let (epoch, next) = (get_epoch(&mut body)?, get_seq(&mut body)?);
    let flags = body.try_get_u8().map_err(|_| SHORT)?;
    Ok(Digest { epoch, next, probe: flags & 1 != 0 })
}

fn read_ack(mut body: Bytes) -> Result<Ack, Refused> {
    let (epoch, next) = (get_epoch(&mut body)?, get_seq(&mut body)?);
    let count = get_varint(&mut body)?;
    if count > RANGES_MAX as u64 {
        return Err(Refused::Malformed("too many runs of missing cells"));
    }
    let mut missing = Vec::with_capacity(count as usize);
    let mut end = next;
    for _ in 0..count {
        let first = end + get_seq(&mut body)?;
        end = first + get_seq(&mut body)?;
        if end > SEQ_MAX {
            return Err(Refused::Malformed("a number is too large"));
        }
        missing.push((first, end - first));
    }
    Ok(Ack { epoch, next, missing })
}

fn read_cells(mut body: Bytes) -> Result<Cells, Refused> {
    let (epoch, first_seq) = (get_epoch(&mut body)?, get_seq(&mut body)?);
    Ok(Cells { epoch, first_seq, rest: body })
}

impl Cells {
    /// The next cell.
    ///
    /// # Errors
    /// The rest cannot be read; then it is empty.
    pub fn next_cell(&mut self) -> Result<Option<Cell>, Refused> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let cell = read_cell(&mut self.rest);
        if cell.is_err() {
            self.rest.clear();
        }
        cell.map(Some)
    }
}

fn read_cell(rest: &mut Bytes) -> Result<Cell, Refused> {
    let head = get_varint(rest)?;
    let (first, last, length) = (head & 1 != 0, head & 2 != 0, head >> 2);
    let length = usize::try_from(length).map_err(|_| SHORT)?;
    let frame_bytes = if first && !last {
        u32::try_from(get_varint(rest)?).map_err(|_| Refused::Malformed("a frame is too large"))?
    } else {
        0
    };
    if length > rest.len() {
        return Err(SHORT);
    }
    let bytes = rest.split_to(length);
    let frame_bytes = if first && last { bytes.len() as u32 } else { frame_bytes };
    Ok(Cell { bytes, first, last, frame_bytes })
}

fn get_varint(body: &mut Bytes) -> Result<u64, Refused> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = body.try_get_u8().map_err(|_| SHORT)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Refused::Malformed("a number is too large"))
}

fn get_seq(body: &mut Bytes) -> Result<u64, Refused> {
    match get_varint(body)? {
        seq if seq < SEQ_MAX => Ok(seq),
        _ => Err(Refused::Malformed("a number is too large")),
    }
}

fn get_epoch(body: &mut Bytes) -> Result<u32, Refused> {
    match u32::try_from(get_varint(body)?) {
        Ok(epoch) if epoch > 0 => Ok(epoch),
        _ => Err(Refused::Malformed("no such epoch")),
    }
}

/// Writes one packet.
#[derive(Debug)]
pub struct Writer {
    packet: Vec<u8>,
    /// The section of cells that is open: where its length goes, its epoch, and the next number.
    open: Option<(usize, u32, u64)>,
}

impl Writer {
    /// Begins a packet for so many bytes of cells; the name must fit [`SOURCE_MAX`].
    pub fn new(header: Header<'_>, cells_bytes: usize) -> Self {
        let mut packet = Vec::with_capacity(header.source.len() + 18 + cells_bytes);
        packet.put_u8(header.version);
        let source = &header.source.as_bytes()[..header.source.len().min(SOURCE_MAX)];
        packet.put_u8(source.len() as u8);
        packet.put_slice(source);
        packet.put_u64(header.from);
        packet.put_u64(header.to);
        Self { packet, open: None }
    }

    fn section(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.close();
        let length_at = self.begin(kind);
        write(&mut self.packet);
        self.end(length_at);
    }

    fn begin(&mut self, kind: u8) -> usize {
        self.packet.put_u8(kind);
        self.packet.put_u32(0);
        self.packet.len() - 4
    }

    fn end(&mut self, length_at: usize) {
        let length = (self.packet.len() - length_at - 4) as u32;
        self.packet[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn close(&mut self) {
        if let Some((length_at, ..)) = self.open.take() {
            self.end(length_at);
        }
    }

    /// A challenge.
    pub fn hello(&mut self, hello: Hello) {
        self.section(HELLO, |packet| put_hello(packet, hello));
    }

    /// The answer to one.
    pub fn hello_ack(&mut self, hello: Hello) {
        self.section(HELLO_ACK, |packet| put_hello(packet, hello));
    }

    /// How far the own stream goes.
    pub fn digest(&mut self, digest: Digest) {
        self.section(DIGEST, |packet| {
            put_varint(packet, u64::from(digest.epoch));
            put_varint(packet, digest.next);
            packet.put_u8(u8::from(digest.probe));
        });
    }

    /// How far the peer's stream was received; runs beyond [`RANGES_MAX`] are left out.
    pub fn ack(&mut self, ack: &Ack) {
        self.section(ACK, |packet| {
            put_varint(packet, u64::from(ack.epoch));
            put_varint(packet, ack.next);
            put_varint(packet, ack.missing.len().min(RANGES_MAX) as u64);
            let mut end = ack.next;
            for &(first, count) in ack.missing.iter().take(RANGES_MAX) {
                put_varint(packet, first - end);
                put_varint(packet, count);
                end = first + count;
            }
        });
    }

    /// A cell; those that follow each other share a section.
    pub fn cell(&mut self, epoch: u32, seq: u64, cell: &Cell) {
        match &mut self.open {
            Some((_, of, next)) if (*of, *next) == (epoch, seq) => *next += 1,
            _ => {
                self.close();
                let length_at = self.begin(CELLS);
                put_varint(&mut self.packet, u64::from(epoch));
                put_varint(&mut self.packet, seq);
                self.open = Some((length_at, epoch, seq + 1));
            }
        }
        let head = (cell.bytes.len() as u64) << 2 | u64::from(cell.last) << 1 | u64::from(cell.first);
        put_varint(&mut self.packet, head);
        if cell.first && !cell.last {
            put_varint(&mut self.packet, u64::from(cell.frame_bytes));
        }
        self.packet.put_slice(&cell.bytes);
    }

    /// A section of any kind.
    pub fn other(&mut self, kind: u8, body: &[u8]) {
        self.section(kind, |packet| packet.put_slice(body));
    }

    /// The packet.
    pub fn finish(mut self) -> Bytes {
        self.close();
        self.packet.into()
    }
}

fn put_hello(packet: &mut Vec<u8>, hello: Hello) {
    packet.put_u64(hello.nonce);
    packet.put_u8(hello.newest);
}

fn put_varint(packet: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        packet.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    packet.put_u8(value as u8);
}

#[cfg(test)]
mod tests;
