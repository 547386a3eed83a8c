//! Packets of video that are kept, so that they can go out later and again.

use rookery_forwarder::{LAYERS_MAX, Layer, MemberKey, Slot};
use rookery_webrtc::Codec;

/// Payloads up to so many bytes are kept, which are all that fit into a path's packets.
const PAYLOAD_BYTES: usize = 1_440;
/// As many as the forwarder knows of.
const PACKETS: usize = 512;

/// The newest packets of one layer.
struct Ring {
    bytes: Box<[u8]>,
    kept: Box<[(u16, Codec)]>,
}

/// One publisher's packets, by layer.
struct Rings {
    publisher: MemberKey,
    layers: [Option<Ring>; LAYERS_MAX],
}

/// The packets of all publishers of a room.
#[derive(Default)]
pub(super) struct PacketStore(Vec<Rings>);

impl PacketStore {
    /// Makes room for a publisher's layers, so that no packet has to.
    pub(super) fn open(&mut self, publisher: MemberKey, layers: usize) {
        let at = self.0.iter().position(|rings| rings.publisher == publisher).unwrap_or_else(|| {
            self.0.push(Rings { publisher, layers: Default::default() });
            self.0.len() - 1
        });
        for layer in self.0[at].layers.iter_mut().take(layers) {
            layer.get_or_insert_with(|| Ring {
                bytes: vec![0; PACKETS * PAYLOAD_BYTES].into(),
                kept: vec![(0, Codec::Vp8); PACKETS].into(),
            });
        }
    }

    /// Forgets a publisher.
    pub(super) fn close(&mut self, publisher: MemberKey) {
        self.0.retain(|rings| rings.publisher != publisher);
    }

    /// Keeps a payload where the forwarder says; whether it is kept.
    pub(super) fn put(&mut self, slot: Slot, codec: Codec, payload: &[u8]) -> bool {
        let rings = self.0.iter_mut().find(|rings| rings.publisher == slot.publisher);
        let Some(ring) = rings.and_then(|rings| rings.layers.get_mut(place(slot.layer))?.as_mut()) else {
            return false;
        };
        let index = usize::from(slot.index);
        let Some(kept) = ring.kept.get_mut(index) else { return false };
        // What is too long is nothing: whoever asks for it asks for a key frame next.
        let fits = payload.len() <= PAYLOAD_BYTES;
        let payload = if fits { payload } else { &[] };
        *kept = (payload.len() as u16, codec);
        ring.bytes[index * PAYLOAD_BYTES..][..payload.len()].copy_from_slice(payload);
        fits
    }

    /// A payload that was kept.
    pub(super) fn get(&self, slot: Slot) -> Option<(Codec, &[u8])> {
        let rings = self.0.iter().find(|rings| rings.publisher == slot.publisher)?;
        let ring = rings.layers.get(place(slot.layer))?.as_ref()?;
        let index = usize::from(slot.index);
        let (length, codec) = *ring.kept.get(index)?;
        Some((codec, &ring.bytes[index * PAYLOAD_BYTES..][..length.into()]))
    }
}

const fn place(layer: Layer) -> usize {
    layer.0 as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_forwarder::{Feedback, Join, MemberFlags, NodeId, Room, RoomConfig, RoomKind, SsrcBlock, Transport};
    use rookery_model::UserId;

    #[test]
    fn what_is_put_is_there_until_its_publisher_goes() {
        let config = RoomConfig::default();
        assert_eq!(usize::from(config.video.cache_packets), PACKETS);
        let mut room = Room::new(config, RoomKind::Voice, NodeId(1), SsrcBlock::of_node(1), 1);
        let join = Join {
            user: UserId::new(1),
            transport: Transport::WebRtc,
            flags: MemberFlags::empty(),
            feedback: Feedback::None,
            rtx: true,
        };
        let publisher = room.join(0, join).unwrap();
        let slot = |index| Slot { publisher, layer: Layer(1), index };
        let mut store = PacketStore::default();
        assert!(!store.put(slot(3), Codec::Vp8, b"too early"));
        assert_eq!(store.get(slot(3)), None);
        store.open(publisher, 2);
        assert!(store.put(slot(511), Codec::H264, b"last"));
        assert!(!store.put(slot(512), Codec::H264, b"beyond"));
        assert!(store.put(slot(0), Codec::Vp8, &[7; PAYLOAD_BYTES]));
        assert!(!store.put(slot(1), Codec::Vp8, &[7; PAYLOAD_BYTES + 1]));
        assert_eq!(store.get(slot(511)), Some((Codec::H264, b"last".as_slice())));
        assert_eq!(store.get(slot(512)), None);
        assert_eq!(store.get(slot(0)), Some((Codec::Vp8, [7; PAYLOAD_BYTES].as_slice())));
        assert_eq!(store.get(slot(1)), Some((Codec::Vp8, [].as_slice())));
        store.open(publisher, 3);
        assert!(store.get(slot(511)).is_some(), "what is there stays");
        store.close(publisher);
        assert_eq!(store.get(slot(511)), None);
    }
}
