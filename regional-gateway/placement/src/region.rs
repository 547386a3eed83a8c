//! Names of regions.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bytes of the longest name.
const NAME_MAX_BYTES: usize = 32;

/// The name of a region, as the deployment's list of regions has it: 1 to 32 of `a` to `z`, `0` to `9` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegionName(Arc<str>);

/// A guild's, DM's or user's home is a region; which one is kept elsewhere.
pub type HomeRegion = RegionName;

/// A text that is no name of a region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a region: 1 to {NAME_MAX_BYTES} of a to z, 0 to 9 and -")]
pub struct NoRegionName(pub String);

impl RegionName {
    /// Reads a name.
    ///
    /// # Errors
    /// The text is no name.
    pub fn new(name: &str) -> Result<Self, NoRegionName> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(is_letter) {
            return Ok(Self(name.into()));
        }
        let shown = name.chars().take(NAME_MAX_BYTES * 2).collect();
        Err(NoRegionName(shown))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RegionName {
    type Error = NoRegionName;

    fn try_from(name: String) -> Result<Self, NoRegionName> {
        Self::new(&name)
    }
}

impl From<RegionName> for String {
    fn from(name: RegionName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Debug for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_list_would_have_are_refused() {
        assert_eq!(RegionName::new("eu-central-1").unwrap().as_str(), "eu-central-1");
        for name in ["", "EU", "eu west", "é", &"a".repeat(33)] {
            assert!(RegionName::new(name).is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<RegionName>("\"a/b\"").is_err());
    }
}
