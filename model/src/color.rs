//! Role colours.

use serde::{Deserialize, Serialize};

/// The colours of a role: the solid or first one, and those of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoleColors {
    /// Solid colour or start of the gradient, 0xRRGGBB.
    pub primary_color: u32,
    /// End of the gradient.
    #[serde(default)]
    pub secondary_color: Option<u32>,
    /// Third colour of the holographic style.
    #[serde(default)]
    pub tertiary_color: Option<u32>,
}
