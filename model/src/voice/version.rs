//! The versions of the voice gateway.

/// A version that is spoken here: 4 to 8.
///
/// There is no default: the documentation asks for `?v=`, and closes connections without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceVersion(u8);

impl VoiceVersion {
    /// The first with speaking flags; songbird speaks it.
    pub const V4: Self = Self(4);
    /// The first with media sink wants.
    pub const V5: Self = Self(5);
    /// The first with the backend's version.
    pub const V6: Self = Self(6);
    /// The first whose messages are numbered, kept, and sent again after RESUME.
    pub const V8: Self = Self(8);

    /// The version of a number, if it is spoken here.
    pub const fn new(number: u8) -> Option<Self> {
        if matches!(number, 4..=8) { Some(Self(number)) } else { None }
    }
    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
    /// Whether messages carry numbers, by which RESUME finds what was missed.
    pub fn is_numbered(self) -> bool {
        self >= Self::V8
    }
}
