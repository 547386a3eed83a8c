//! What the ends of a link say of themselves: acknowledgements, and then parts, each behind a byte for its kind.

use crate::link::Wants;
use crate::wire::{Reader, Writer};

pub(crate) const MEMBERS: u8 = 1;
pub(crate) const WANTS: u8 = 2;
pub(crate) const KEY_FRAMES: u8 = 3;

/// Pictures that one message names.
pub(crate) const NAMED_MAX: usize = 64;

/// What of the other end's is known at this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub members: u32,
    pub wants: u32,
}

pub(crate) fn write_known(known: Known, writer: &mut Writer<'_>) -> Option<()> {
    writer.put(&known.members.to_be_bytes())?;
    writer.put(&known.wants.to_be_bytes())
}

pub(crate) fn read_known(reader: &mut Reader<'_>) -> Option<Known> {
    Some(Known { members: reader.u32()?, wants: reader.u32()? })
}

pub(crate) fn write_wants(revision: u32, wants: &Wants, writer: &mut Writer<'_>) -> Option<()> {
    let named = &wants.by_ssrc[..wants.by_ssrc.len().min(NAMED_MAX)];
    writer.put(&[WANTS])?;
    writer.put(&revision.to_be_bytes())?;
    writer.put(&[wants.any, named.len() as u8])?;
    for (ssrc, quality) in named {
        writer.put(&ssrc.to_be_bytes())?;
        writer.put(&[*quality])?;
    }
    Some(())
}

pub(crate) fn read_wants(reader: &mut Reader<'_>) -> Option<(u32, Wants)> {
    let revision = reader.u32()?;
    let [any, count] = reader.bytes()?;
    let by_ssrc = (0..count.min(NAMED_MAX as u8)).map(|_| Some((reader.u32()?, reader.u8()?)));
    Some((revision, Wants { any, by_ssrc: by_ssrc.collect::<Option<_>>()? }))
}

pub(crate) fn write_key_frames(ssrcs: &[u32], writer: &mut Writer<'_>) -> Option<()> {
    let ssrcs = &ssrcs[..ssrcs.len().min(NAMED_MAX)];
    writer.put(&[KEY_FRAMES, ssrcs.len() as u8])?;
    for ssrc in ssrcs {
        writer.put(&ssrc.to_be_bytes())?;
    }
    Some(())
}
