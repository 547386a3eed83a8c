//! Roles.

use serde::{Deserialize, Serialize};

use crate::color::RoleColors;
use crate::{ApplicationId, Permissions, RoleId, UserId};

/// A role of a guild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub id: RoleId,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    /// 0xRRGGBB; 0 is no colour.
    pub color: u32,
    #[serde(default)]
    pub colors: RoleColors,
    /// Shown as a group of its own in member lists.
    pub hoist: bool,
    #[serde(default)]
    pub icon: Option<String>,
    #[serde(default)]
    pub unicode_emoji: Option<String>,
    /// Rank; `@everyone` is 0, ties are broken by the lower id.
    pub position: u32,
    pub permissions: Permissions,
    /// Made and owned by an integration.
    pub managed: bool,
    pub mentionable: bool,
    #[serde(default)]
    pub flags: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<RoleTags>,
}

/// Whose managed role this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RoleTags {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<ApplicationId>,
}

impl Role {
    /// Order by rank: higher position first, then the lower (older) id.
    pub fn outranks(&self, other: &Self) -> bool {
        (self.position, std::cmp::Reverse(self.id)) > (other.position, std::cmp::Reverse(other.id))
    }
}
