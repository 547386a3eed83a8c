//! What a room tells its caller besides packets.

use rookery_model::UserId;

use crate::{Layer, MemberKey, Quality, Ssrc};

/// Something that the caller has to tell somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Ask the publisher for a key frame (PLI); of a remote member, over its link.
    KeyFrame { publisher: MemberKey, layer: Layer, ssrc: Ssrc },
    /// The room begins or ceases to hear a member: SPEAKING for those who do not say so themselves.
    Heard { member: MemberKey, heard: bool },
    /// The best quality that anybody wants of a publisher: MEDIA_SINK_WANTS for it, or for the node that it is at. 0: nobody looks.
    Demand { publisher: MemberKey, quality: u8 },
    /// A remote member is gone with the link to its node.
    RemoteLeft { member: MemberKey, user: UserId },
    /// What the room gives up under load.
    Quality(Quality),
    /// A stream has more frames than it was granted.
    PolicyExceeded { publisher: MemberKey },
}
