//! Regions for voice, as the API lists them.

use serde::{Deserialize, Serialize};

/// Where voice nodes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceRegion {
    pub id: String,
    pub name: String,
    /// Whether it is the one that answers.
    #[serde(default)]
    pub optimal: bool,
    #[serde(default)]
    pub deprecated: bool,
    #[serde(default)]
    pub custom: bool,
}

impl VoiceRegion {
    /// A region in ordinary use.
    pub fn new(id: impl Into<String>, optimal: bool) -> Self {
        let id = id.into();
        Self { name: id.clone(), id, optimal, deprecated: false, custom: false }
    }
}
