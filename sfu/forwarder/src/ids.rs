//! Names of things inside a room.

/// A synchronisation source of RTP (RFC 3550, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ssrc(pub u32);

/// A node that runs rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// A member of a room, for as long as it is there.
///
/// [`index`](Self::index) is small and reused, so that a caller may keep what belongs to members in a table; the whole key
/// is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl MemberKey {
    /// Its place, below the most members that the room ever had at once.
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// One of the encodings that a publisher sends of the same picture (simulcast), 0 being the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer(pub u8);

/// Encodings that one publisher may send.
pub const LAYERS_MAX: usize = 3;

impl Layer {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where the bytes of a video packet are kept, so that they can be sent later and again.
///
/// The caller has a ring of [`cache_packets`](crate::RoomConfig::cache_packets) buffers for each publisher and layer, and puts
/// a packet where the room says; what was there before is not asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub publisher: MemberKey,
    pub layer: Layer,
    pub index: u16,
}
