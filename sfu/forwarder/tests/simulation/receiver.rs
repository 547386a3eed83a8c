//! What one receiver has got of one sender, as its decoder would see it.

use std::collections::BTreeMap;

use rookery_forwarder::{Forward, Packet, Payload};

/// A packet as its sender named it: layer (9 for sound) and number.
pub type Identity = (u8, u16);

/// One outgoing stream.
#[derive(Default)]
pub struct Seen {
    highest: Option<u16>,
    newest: Option<Identity>,
    /// What came under which number; nothing, for padding.
    given: BTreeMap<u16, Option<Identity>>,
    timestamp: u32,
    picture: Option<u16>,
    /// The number under which a packet of the newest picture came.
    picture_at: u16,
    pub excused: bool,
}

/// Whether `a` comes after `b`.
fn newer(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000
}

impl Seen {
    /// Takes a packet. `missing` counts what had not arrived at the room of those after the newest one that went out.
    pub fn take(
        &mut self,
        forward: &Forward,
        source: Option<(Identity, &Packet)>,
        missing: Option<impl Fn(Identity, Identity) -> usize>,
    ) -> Result<(), String> {
        let header = forward.header;
        let identity = source.map(|(identity, _)| identity);
        if let Some(before) = self.given.insert(header.sequence, identity) {
            return Err(format!("number {} is given to {before:?} and {identity:?}", header.sequence));
        }
        if let Some(highest) = self.highest {
            if !newer(header.sequence, highest) {
                return Ok(());
            }
            let gap = header.sequence.wrapping_sub(highest) - 1;
            self.check_order(forward, source)?;
            if let (Some(missing), Some(before), Some(now)) = (missing, self.newest, identity) {
                let allowed = missing(before, now);
                if usize::from(gap) > allowed {
                    return Err(format!("{gap} numbers are missing before {now:?}, {allowed} packets were lost"));
                }
            }
        } else if let Some(((layer, _), packet)) = source
            && layer != 9
            && !is_key(packet)
        {
            return Err("a picture begins without a key frame".into());
        }
        self.highest = Some(header.sequence);
        if identity.is_some() {
            self.newest = identity;
            self.timestamp = header.timestamp;
            self.picture = header.vp8.and_then(|vp8| vp8.picture_id).map(picture);
            self.picture_at = header.sequence;
        }
        Ok(())
    }

    fn check_order(&self, forward: &Forward, source: Option<(Identity, &Packet)>) -> Result<(), String> {
        let Some(((layer, _), packet)) = source else { return Ok(()) };
        let passed = forward.header.timestamp.wrapping_sub(self.timestamp);
        if passed > 90_000 * 60 {
            return Err(format!("time goes from {} to {}", self.timestamp, forward.header.timestamp));
        }
        if layer == 9 {
            return Ok(());
        }
        if self.newest.is_some_and(|(before, _)| before != layer) && !is_key(packet) {
            return Err("a layer begins without a key frame".into());
        }
        let now = forward.header.vp8.and_then(|vp8| vp8.picture_id).map(picture);
        if let (Some(before), Some(now)) = (self.picture, now) {
            // Each number between may be of a picture that is missing, or comes late, or was filled with padding.
            let (ahead, numbers) =
                (now.wrapping_sub(before) & 0x7fff, forward.header.sequence.wrapping_sub(self.picture_at));
            if ahead > numbers {
                return Err(format!("picture {now} follows {before}, {numbers} numbers later"));
            }
        }
        Ok(())
    }

    /// Takes what is sent again; it may come for the first time, if what made room for it was late itself.
    pub fn take_again(&mut self, number: u16, identity: Identity) -> bool {
        *self.given.entry(number).or_insert(Some(identity)) == Some(identity)
    }

    pub fn what_was(&self, number: u16) -> Option<&Option<Identity>> {
        self.given.get(&number)
    }

    pub fn was_padded(&self, number: u16) -> bool {
        self.given.get(&number) == Some(&None)
    }

    pub fn is_empty(&self) -> bool {
        self.highest.is_none()
    }

    /// Whether this was what came under the number first.
    pub fn was(&self, number: u16, identity: Identity) -> bool {
        self.given.get(&number) == Some(&Some(identity))
    }

    /// Some number that may be asked for again.
    pub fn any_number(&self, nth: usize) -> Option<u16> {
        let numbers = self.given.len();
        (numbers > 0).then(|| self.given.keys().nth(nth % numbers).copied())?
    }

    /// Numbers between the first and the newest that nothing came under.
    pub fn holes(&self) -> usize {
        let Some(highest) = self.highest else { return 0 };
        let first = self.given.keys().map(|number| highest.wrapping_sub(*number)).filter(|age| *age < 0x8000).max();
        usize::from(first.unwrap_or(0)) + 1 - self.given.len().min(usize::from(first.unwrap_or(0)) + 1)
    }
}

fn is_key(packet: &Packet) -> bool {
    matches!(packet.payload, Payload::Video(video) if video.key_frame && video.frame_start)
}

fn picture(id: rookery_forwarder::PictureId) -> u16 {
    match id {
        rookery_forwarder::PictureId::Short(value) => u16::from(value),
        rookery_forwarder::PictureId::Long(value) => value,
    }
}
