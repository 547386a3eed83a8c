//! What one node tells of a member to another.

use rookery_model::UserId;
use rookery_model::voice::{MediaType, ResolutionType, SpeakingFlags, StreamResolution};

use crate::wire::{Reader, Writer};

/// Somebody who is in the room at another node, or behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoteMember {
    pub user: UserId,
    /// The number of the node where they are.
    pub node: u16,
    /// SSRCs of sound, picture, and picture that is sent again.
    pub ssrcs: [u32; 3],
    /// What they may do, in the room's own bits.
    pub flags: u16,
    /// As they say of themselves, once they did.
    pub speaking: Option<SpeakingFlags>,
    /// Whether others know their SSRC there, and not only that they are there.
    pub is_announced: bool,
    pub shown: Option<RemoteShown>,
}

/// The picture that a member shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoteShown {
    pub kind: MediaType,
    pub frames_per_second: Option<u8>,
    pub resolution: Option<StreamResolution>,
}

/// Bytes of the longest member.
pub(crate) const MEMBER_BYTES_MAX: usize = 36;

const IS_HERE: u8 = 1;
const HAS_SPOKEN: u8 = 1 << 1;
const IS_ANNOUNCED: u8 = 1 << 2;
const SHOWS: u8 = 1 << 3;

/// Writes a member, or that they are gone.
pub(crate) fn write(user: UserId, member: Option<&RemoteMember>, writer: &mut Writer<'_>) -> Option<()> {
    let Some(member) = member else {
        writer.put(&[0])?;
        return writer.put(&user.get().to_be_bytes());
    };
    let mut bits = IS_HERE;
    bits |= if member.speaking.is_some() { HAS_SPOKEN } else { 0 };
    bits |= if member.is_announced { IS_ANNOUNCED } else { 0 };
    bits |= if member.shown.is_some() { SHOWS } else { 0 };
    writer.put(&[bits])?;
    writer.put(&user.get().to_be_bytes())?;
    writer.put(&member.node.to_be_bytes())?;
    for ssrc in member.ssrcs {
        writer.put(&ssrc.to_be_bytes())?;
    }
    writer.put(&member.flags.to_be_bytes())?;
    writer.put(&[member.speaking.unwrap_or_default().bits()])?;
    let Some(shown) = &member.shown else { return Some(()) };
    let kind = match shown.kind {
        MediaType::Video => 0,
        MediaType::Screen => 1,
        MediaType::Test => 2,
    };
    let (resolution, width, height) = match shown.resolution {
        None => (0, 0, 0),
        Some(StreamResolution { kind, width, height }) => {
            // As pixels: what is more than there are is the most.
            let form = if kind == ResolutionType::Fixed { 1 } else { 2 };
            (form, width as u16, height as u16)
        }
    };
    writer.put(&[kind, shown.frames_per_second.unwrap_or(0), resolution])?;
    writer.put(&width.to_be_bytes())?;
    writer.put(&height.to_be_bytes())
}

/// Reads a member, or who is gone.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<(UserId, Option<RemoteMember>)> {
    let bits = reader.u8()?;
    let user = UserId::new(reader.u64()?);
    if bits & IS_HERE == 0 {
        return Some((user, None));
    }
    let node = reader.u16()?;
    let ssrcs = [reader.u32()?, reader.u32()?, reader.u32()?];
    let flags = reader.u16()?;
    let speaking = SpeakingFlags::from_bits_truncate(reader.u8()?);
    let shown = if bits & SHOWS == 0 { None } else { Some(read_shown(reader)?) };
    let member = RemoteMember {
        user,
        node,
        ssrcs,
        flags,
        speaking: (bits & HAS_SPOKEN != 0).then_some(speaking),
        is_announced: bits & IS_ANNOUNCED != 0,
        shown,
    };
    Some((user, Some(member)))
}

fn read_shown(reader: &mut Reader<'_>) -> Option<RemoteShown> {
    let [kind, frames_per_second, form] = reader.bytes()?;
    let (width, height) = (f64::from(reader.u16()?), f64::from(reader.u16()?));
    let kind = match kind {
        0 => MediaType::Video,
        1 => MediaType::Screen,
        2 => MediaType::Test,
        _ => return None,
    };
    let resolution = match form {
        0 => None,
        1 => Some(ResolutionType::Fixed),
        2 => Some(ResolutionType::Source),
        _ => return None,
    };
    Some(RemoteShown {
        kind,
        frames_per_second: Some(frames_per_second).filter(|rate| *rate > 0),
        resolution: resolution.map(|kind| StreamResolution { kind, width, height }),
    })
}
