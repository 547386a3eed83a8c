//! MEDIA_SINK_WANTS (opcode 15): which streams somebody wants, and how well.

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

use super::Ssrc;

/// Streams that one message may name.
const WANTS_MAX: usize = 256;

/// How well: 0 for not at all, up to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u8);

impl Quality {
    /// Not at all.
    pub const NONE: Self = Self(0);
    /// As well as there is.
    pub const FULL: Self = Self(100);

    /// None above 100.
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }
    /// As a number up to 100.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

/// The data of MEDIA_SINK_WANTS, the same both ways: `{"8964": 100, "any": 50, "pixelCounts": {"8964": 921600.0}}`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MediaSinkWants {
    /// For streams that are not named.
    pub any: Option<Quality>,
    /// By their primary SSRC, not that of what is sent again.
    pub streams: BTreeMap<Ssrc, Quality>,
    /// About how many pixels of a stream are shown.
    pub pixel_counts: BTreeMap<Ssrc, f64>,
}

impl MediaSinkWants {
    /// How well a stream is wanted; what nobody said anything about is wanted in full.
    pub fn of(&self, ssrc: Ssrc) -> Quality {
        self.streams.get(&ssrc).copied().or(self.any).unwrap_or(Quality::FULL)
    }
}

impl Serialize for MediaSinkWants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (ssrc, quality) in &self.streams {
            map.serialize_entry(&ssrc.0.to_string(), &quality.0)?;
        }
        if let Some(any) = self.any {
            map.serialize_entry("any", &any.0)?;
        }
        if !self.pixel_counts.is_empty() {
            let counts: BTreeMap<String, f64> = self.pixel_counts.iter().map(|(k, v)| (k.0.to_string(), *v)).collect();
            map.serialize_entry("pixelCounts", &counts)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for MediaSinkWants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WantsVisitor;
        impl<'de> Visitor<'de> for WantsVisitor {
            type Value = MediaSinkWants;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of qualities by SSRC")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MediaSinkWants, A::Error> {
                let mut wants = MediaSinkWants::default();
                while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                    match (&*key, key.parse()) {
                        ("any", _) => wants.any = Some(quality(map.next_value()?)?),
                        ("pixelCounts", _) => {
                            let counts: BTreeMap<String, f64> = map.next_value()?;
                            bounded(counts.len())?;
                            wants.pixel_counts =
                                counts.iter().filter_map(|(k, v)| Some((Ssrc(k.parse().ok()?), *v))).collect();
                        }
                        (_, Ok(ssrc)) => {
                            wants.streams.insert(Ssrc(ssrc), quality(map.next_value()?)?);
                            bounded(wants.streams.len())?;
                        }
                        // Clients add fields of their own.
                        (_, Err(_)) => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                Ok(wants)
            }
        }
        deserializer.deserialize_map(WantsVisitor)
    }
}

fn quality<E: de::Error>(percent: f64) -> Result<Quality, E> {
    if (0.0..=100.0).contains(&percent) {
        Ok(Quality(percent.round() as u8))
    } else {
        Err(E::custom("qualities are 0 to 100"))
    }
}

fn bounded<E: de::Error>(streams: usize) -> Result<(), E> {
    if streams <= WANTS_MAX { Ok(()) } else { Err(E::custom("too many streams")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_read_and_written_back() {
        let json = r#"{"8964":100,"any":50,"pixelCounts":{"8964":1189844.5769597634}}"#;
        let wants: MediaSinkWants = serde_json::from_str(json).unwrap();
        assert_eq!((wants.of(Ssrc(8964)), wants.of(Ssrc(1)).percent()), (Quality::FULL, 50));
        assert_eq!(serde_json::to_string(&wants).unwrap(), json);
        assert_eq!(MediaSinkWants::default().of(Ssrc(1)), Quality::FULL);
    }

    #[test]
    fn what_is_out_of_range_or_endless_is_refused() {
        for bad in [r#"{"1":101}"#, r#"{"any":-1}"#, r#"{"any":"50"}"#, "[]"] {
            assert!(serde_json::from_str::<MediaSinkWants>(bad).is_err(), "{bad}");
        }
        let many: BTreeMap<String, u8> = (0..300).map(|n| (n.to_string(), 1)).collect();
        assert!(serde_json::from_str::<MediaSinkWants>(&serde_json::to_string(&many).unwrap()).is_err());
        assert!(serde_json::from_str::<MediaSinkWants>(r#"{"streams":[1],"1":0}"#).is_ok());
    }
}
