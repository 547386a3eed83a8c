//! A packet of somebody's media.

use crate::wire::{Reader, Writer};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaCodec {
    Opus,
    Vp8,
    H264,
    Av1,
}

impl MediaCodec {
    const ALL: [Self; 4] = [Self::Opus, Self::Vp8, Self::H264, Self::Av1];
}

/// What is written before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaHeader {
    pub codec: MediaCodec,
    pub marker: bool,
    /// Links that it has crossed with this one.
    pub hops: u8,
    /// Of sound, in the byte of RFC 6464.
    pub level: Option<u8>,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// Bytes of a [`MediaHeader`].
pub const MEDIA_HEADER_BYTES: usize = 13;
const CODEC: u8 = 0x0f;
const MARKER: u8 = 0x10;
const LEVEL: u8 = 0x20;

impl MediaHeader {
    pub(crate) fn write(&self, payload: &[u8], buffer: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(buffer);
        let mut first = self.codec as u8;
        first |= if self.marker { MARKER } else { 0 };
        first |= if self.level.is_some() { LEVEL } else { 0 };
        writer.put(&[first, self.hops, self.level.unwrap_or(0)])?;
        writer.put(&self.sequence.to_be_bytes())?;
        writer.put(&self.timestamp.to_be_bytes())?;
        writer.put(&self.ssrc.to_be_bytes())?;
        writer.put(payload)?;
        Some(writer.len())
    }

    pub(crate) fn read(body: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(body);
        let [first, hops, level] = reader.bytes()?;
        let codec = *MediaCodec::ALL.get(usize::from(first & CODEC))?;
        let header = Self {
            codec,
            marker: first & MARKER != 0,
            hops,
            level: (first & LEVEL != 0).then_some(level),
            sequence: reader.u16()?,
            timestamp: reader.u32()?,
            ssrc: reader.u32()?,
        };
        Some((header, reader.0))
    }
}
