//! Digests: what two stores have in common, whatever engine they are on.
//!
//! A section's digest is the sum of its rows' hashes, so that it does not depend on the order in which an engine yields
//! them; and it counts them. It finds what went wrong, not what somebody forged.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::error::ArchiveError;
use super::progress::{Event, Report};
use super::row;
use crate::Store;
use crate::dump::{DamagedRow, DumpCursor, DumpRow, Section};

/// Rows in a page of a dump.
pub(super) const PAGE_ROWS: usize = 500;

/// Count and digest of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionDigest {
    pub rows: u64,
    pub digest: Sum,
}

/// A sum of hashes, modulo 2^128; 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(pub u128);

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(de::Error::custom)
    }
}

impl SectionDigest {
    /// Adds a row in its canonical encoding.
    pub fn add(&mut self, section: Section, encoded: &[u8]) {
        let hash = xxh3_128_with_seed(encoded, xxh3_64(section.name().as_bytes()));
        self.merge(Self { rows: 1, digest: Sum(hash) });
    }
    /// Adds other rows.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
    }
}

/// Counts and digests of a whole store or archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreDigest {
    /// By the name of the section.
    pub sections: BTreeMap<String, SectionDigest>,
}

impl StoreDigest {
    /// Adds rows of a section.
    pub fn merge(&mut self, section: Section, digest: SectionDigest) {
        self.sections.entry(section.name().to_owned()).or_default().merge(digest);
    }
    /// A section's.
    pub fn of(&self, section: Section) -> SectionDigest {
        self.sections.get(section.name()).copied().unwrap_or_default()
    }
    /// Of all sections together.
    pub fn total(&self) -> SectionDigest {
        let mut total = SectionDigest::default();
        self.sections.values().for_each(|digest| total.merge(*digest));
        total
    }
}

/// Counts and digests a store; damaged rows are named beside, and not in it.
pub async fn digest(store: &Store, report: &Report) -> Result<(StoreDigest, Vec<DamagedRow>), ArchiveError> {
    let rows_total = store.dump_estimate().await?;
    let (mut found, mut damaged, mut rows) = (StoreDigest::default(), store.damaged_beside().await?, 0);
    report(Event::Rows { doing: "digested", section: Section::ALL[0].name(), rows, rows_total });
    for section in Section::ALL {
        let mut cursor: Option<DumpCursor> = None;
        found.merge(section, SectionDigest::default());
        loop {
            let page = store.dump(section, cursor, PAGE_ROWS).await?;
            rows += page.rows.len() as u64;
            damaged.extend(page.damaged);
            let hashed = tokio::task::spawn_blocking(move || of_rows(section, &page.rows)).await;
            found.merge(section, hashed.map_err(|error| ArchiveError::CutOff(error.to_string()))??);
            report(Event::Rows { doing: "digested", section: section.name(), rows, rows_total });
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok((found, damaged))
}

fn of_rows(section: Section, rows: &[DumpRow]) -> Result<SectionDigest, ArchiveError> {
    let (mut digest, mut encoded) = (SectionDigest::default(), Vec::new());
    for dumped in rows {
        encoded.clear();
        row::encode(dumped, &mut encoded)?;
        digest.add(section, &encoded);
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let of = |section, rows: &[&[u8]]| {
            let mut digest = SectionDigest::default();
            rows.iter().for_each(|row| digest.add(section, row));
            digest
        };
        let pins = of(Section::Pins, &[b"a", b"b", b"b"]);
        assert_eq!(pins, of(Section::Pins, &[b"b", b"a", b"b"]));
        assert_ne!(pins, of(Section::Pins, &[b"a", b"b"]));
        assert_ne!(pins.digest, of(Section::Bans, &[b"a", b"b", b"b"]).digest);
        assert_ne!(pins.digest, of(Section::Pins, &[b"a", b"a", b"b"]).digest);
        let text = serde_json::to_string(&pins).unwrap();
        assert_eq!(serde_json::from_str::<SectionDigest>(&text).unwrap(), pins);
    }
}
