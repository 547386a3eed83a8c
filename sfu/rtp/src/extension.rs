//! RTP header extensions (RFC 8285), and those that are looked at here.

use rookery_model::voice::SpeakingFlags;

/// The profile of the one-byte form.
const ONE_BYTE: u16 = 0xbede;
/// The profile of the two-byte form, without the four bits that an application may set.
const TWO_BYTE: u16 = 0x1000;
/// Ends the elements of the one-byte form.
const STOP: u8 = 15;

/// The ids of extensions for clients of the `udp` protocol, where no SDP negotiates them.
///
/// Source: "Native RTP Header Extensions" of the community's documentation of user clients; discord-ext-voice-recv reads
/// the first and the ninth.
pub mod native {
    /// [`AudioLevel`](super::AudioLevel).
    pub const AUDIO_LEVEL: u8 = 1;
    /// Of transport-wide congestion control.
    pub const TRANSPORT_SEQUENCE_NUMBER: u8 = 5;
    /// [`speaking`](super::speaking).
    pub const SPEAKER: u8 = 9;
    /// Names a simulcast layer.
    pub const RID: u8 = 11;
    /// Names the simulcast layer of a packet that is sent again.
    pub const REPAIRED_RID: u8 = 12;
}

/// The extension of a packet, whose elements are read when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Extensions<'a> {
    profile: u16,
    elements: &'a [u8],
}

impl<'a> Extensions<'a> {
    pub(crate) const fn new(profile: u16, elements: &'a [u8]) -> Self {
        Self { profile, elements }
    }
    /// The elements, by id. What is malformed ends them: the packet is good without.
    pub const fn iter(self) -> Elements<'a> {
        Elements { profile: self.profile, rest: self.elements }
    }
    /// The first element with an id.
    pub fn get(self, id: u8) -> Option<&'a [u8]> {
        self.iter().find(|element| element.0 == id).map(|element| element.1)
    }
}

/// The elements of an extension.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    profile: u16,
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                // Padding.
                self.rest = rest;
                continue;
            }
            let (id, bytes, rest) = if self.profile == ONE_BYTE {
                (first >> 4, usize::from(first & 0x0f) + 1, rest)
            } else if self.profile & 0xfff0 == TWO_BYTE {
                let (&bytes, rest) = rest.split_first()?;
                (first, usize::from(bytes), rest)
            } else {
                return None;
            };
            if self.profile == ONE_BYTE && id == STOP {
                self.rest = &[];
                return None;
            }
            let Some((value, rest)) = rest.split_at_checked(bytes) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            // An id of 0 with a length is reserved in the one-byte form.
            if id != 0 {
                return Some((id, value));
            }
        }
    }
}

/// Writes elements in the one-byte form.
pub struct ElementWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> ElementWriter<'a> {
    /// Writes to the start of the buffer.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }
    /// Appends one; false if id (1 to 14), length (1 to 16) or room forbid it.
    pub fn push(&mut self, id: u8, value: &[u8]) -> bool {
        let end = self.len + 1 + value.len();
        if !(1..STOP).contains(&id) || !(1..=16).contains(&value.len()) || end > self.buffer.len() {
            return false;
        }
        self.buffer[self.len] = (id << 4) | (value.len() - 1) as u8;
        self.buffer[self.len + 1..end].copy_from_slice(value);
        self.len = end;
        true
    }
    /// What was written.
    pub fn finish(self) -> &'a [u8] {
        &self.buffer[..self.len]
    }
}

/// How loud a packet is, as its sender says (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the sender takes it for voice.
    pub voice: bool,
    /// Below overload, in decibels: 0 is loudest, 127 is silence.
    pub below_overload_db: u8,
}

impl AudioLevel {
    /// Silence.
    pub const SILENCE_DB: u8 = 127;

    /// Reads the element's value.
    pub fn read(value: &[u8]) -> Option<Self> {
        let [byte] = *value else { return None };
        Some(Self { voice: byte & 0x80 != 0, below_overload_db: byte & 0x7f })
    }
    /// The element's value.
    pub const fn to_byte(self) -> u8 {
        (self.below_overload_db & 0x7f) | if self.voice { 0x80 } else { 0 }
    }
}

/// Reads [`native::SPEAKER`]: what kind of audio a packet is. Nothing said means voice, and so does priority alone.
pub const fn speaking(value: Option<u8>) -> SpeakingFlags {
    let byte = match value {
        None | Some(0) => return SpeakingFlags::VOICE,
        Some(byte) => byte,
    };
    let flags = SpeakingFlags::from_bits_truncate(((byte >> 1) & 0x03) | ((byte & 0x01) << 2));
    if byte & 0x01 != 0 { flags.union(SpeakingFlags::VOICE) } else { flags }
}

/// Writes [`native::SPEAKER`].
pub const fn speaking_byte(flags: SpeakingFlags) -> u8 {
    let bits = flags.bits();
    ((bits & 0x03) << 1) | ((bits & 0x04) >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_byte_form_with_padding_and_stop() {
        // RFC 8285, section 4.2: ids 1 to 14, lengths less one.
        let elements = [0x10, 0xaa, 0x00, 0x00, 0x21, 1, 2, 0xf0, 0x30, 7];
        let extensions = Extensions::new(ONE_BYTE, &elements);
        assert_eq!(extensions.iter().collect::<Vec<_>>(), [(1, &[0xaa][..]), (2, &[1, 2])]);
        assert_eq!((extensions.get(2), extensions.get(3)), (Some(&[1, 2][..]), None));
    }

    #[test]
    fn the_two_byte_form_with_empty_and_long_elements() {
        let mut elements = vec![200, 0, 0, 16, 20];
        elements.extend([5; 20]);
        for profile in [0x1000, 0x100f] {
            let extensions = Extensions::new(profile, &elements);
            assert_eq!(extensions.iter().collect::<Vec<_>>(), [(200, &[][..]), (16, &[5; 20])]);
        }
        assert_eq!(Extensions::new(0x2000, &elements).iter().count(), 0, "another profile");
    }

    #[test]
    fn what_is_cut_off_ends_the_elements() {
        for elements in [&[0x13, 1, 2][..], &[0x10]] {
            assert_eq!(Extensions::new(ONE_BYTE, elements).iter().count(), 0);
        }
        for elements in [&[1][..], &[1, 4, 0]] {
            assert_eq!(Extensions::new(TWO_BYTE, elements).iter().count(), 0);
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_does_not_fit_is_left_out() {
        let mut buffer = [0; 8];
        let mut writer = ElementWriter::new(&mut buffer);
        assert!(writer.push(native::AUDIO_LEVEL, &[0x85]) && writer.push(14, b"abc"));
        for (id, value) in [(0, &[1][..]), (15, &[1]), (1, &[]), (1, &[0; 17]), (2, &[1, 2])] {
            assert!(!writer.push(id, value), "{id} {value:?}");
        }
        let extensions = Extensions::new(ONE_BYTE, writer.finish());
        assert_eq!(extensions.iter().collect::<Vec<_>>(), [(1, &[0x85][..]), (14, b"abc")]);
    }

    #[test]
    fn levels_come_back() {
        let level = AudioLevel::read(&[0x85]).unwrap();
        assert_eq!(level, AudioLevel { voice: true, below_overload_db: 5 });
        assert_eq!(level.to_byte(), 0x85);
        assert_eq!(AudioLevel::read(&[]), None);
    }

    #[test]
    fn speaking_flags_as_documented() {
        let voice_priority = SpeakingFlags::VOICE | SpeakingFlags::PRIORITY;
        assert_eq!(speaking_byte(voice_priority), 0x03);
        for flags in [SpeakingFlags::VOICE, SpeakingFlags::SOUNDSHARE, voice_priority] {
            assert_eq!(speaking(Some(speaking_byte(flags))), flags);
        }
        assert_eq!((speaking(None), speaking(Some(0))), (SpeakingFlags::VOICE, SpeakingFlags::VOICE));
        assert_eq!(speaking(Some(1)), voice_priority);
    }
}
