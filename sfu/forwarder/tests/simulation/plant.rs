//! Bugs that are planted between the room and whoever drives it, as if they were the room's.

use rookery_forwarder::{Body, Forward, MemberFlags, Packet, Payload, PictureId, Ssrc, Vp8};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plant {
    #[default]
    Nothing,
    IgnoresMute,
    IgnoresDeafness,
    /// A member who leaves stays in the room.
    ForgetsLeaving,
    IgnoresWishes,
    SendsBack,
    AnothersSsrc,
    /// Numbers go out as they came.
    KeepsNumbers,
    LosesOne,
    RepeatsNumber,
    OneSpeakerTooMany,
    /// Takes any frame for a key frame.
    SwitchesAnywhere,
    WrongSlot,
    WrongPicture,
    TransportNumbersRepeat,
    AsksTooOften,
}

impl Plant {
    pub const ALL: [Self; 15] = [
        Self::IgnoresMute,
        Self::IgnoresDeafness,
        Self::ForgetsLeaving,
        Self::IgnoresWishes,
        Self::SendsBack,
        Self::AnothersSsrc,
        Self::KeepsNumbers,
        Self::LosesOne,
        Self::RepeatsNumber,
        Self::OneSpeakerTooMany,
        Self::SwitchesAnywhere,
        Self::WrongSlot,
        Self::WrongPicture,
        Self::TransportNumbersRepeat,
        Self::AsksTooOften,
    ];

    /// Flags as the room is told.
    pub fn flags(self, flags: MemberFlags) -> MemberFlags {
        let muted = MemberFlags::SERVER_MUTED | MemberFlags::SELF_MUTED | MemberFlags::SUPPRESSED;
        match self {
            Self::IgnoresMute => flags - muted,
            Self::IgnoresDeafness => flags - MemberFlags::SELF_DEAFENED - MemberFlags::SERVER_DEAFENED,
            _ => flags,
        }
    }

    /// A packet as the room is told.
    pub fn packet(self, mut packet: Packet) -> Packet {
        if let (Self::SwitchesAnywhere, Payload::Video(video)) = (self, &mut packet.payload) {
            (video.frame_start, video.key_frame) = (true, true);
        }
        packet
    }

    /// What the room sends, as it goes out; `nth` counts all. None: lost.
    pub fn forward(self, nth: u64, incoming: u16, mut forward: Forward) -> Option<Forward> {
        let sometimes = nth % 97 == 96;
        let header = &mut forward.header;
        match (self, &mut forward.body) {
            (Self::LosesOne, _) if sometimes => return None,
            (Self::AnothersSsrc, _) if sometimes => header.ssrc = Ssrc(header.ssrc.0 + 3),
            (Self::KeepsNumbers, Body::Incoming) => header.sequence = incoming,
            (Self::RepeatsNumber, _) if sometimes => header.sequence = header.sequence.wrapping_sub(1),
            (Self::WrongSlot, Body::Stored(slot) | Body::Retransmission { slot, .. }) => slot.index ^= 1,
            (Self::WrongPicture, _) => {
                let picture_id = Some(PictureId::Long((nth * 37) as u16 & 0x7fff));
                header.vp8 = header.vp8.map(|vp8| Vp8 { picture_id, ..vp8 });
            }
            (Self::TransportNumbersRepeat, _) if sometimes => {
                forward.transport_sequence = forward.transport_sequence.map(|number| number.wrapping_sub(1));
            }
            _ => {}
        }
        Some(forward)
    }
}
