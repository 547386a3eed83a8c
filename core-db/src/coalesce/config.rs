//! Configuration of what stands between callers and an engine.

use serde::Deserialize;

/// How reads are shared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoalesceConfig {
    /// Whether equal concurrent reads share one call of the engine.
    pub enabled: bool,
    /// Calls that others may join at once; beyond, reads go to the engine alone.
    pub flights: usize,
    /// Bytes of newest pages kept; 0 keeps none.
    ///
    /// Only right where every write of a channel goes through this store, which the one writer per guild gives, and
    /// where `Store::forget_pages` is called when this process takes over channels that another one wrote.
    pub page_cache_bytes: u64,
    /// How long a page is kept at most, milliseconds: the longest that a page may lack a write of unknown outcome that
    /// applied late.
    pub page_max_age_ms: u64,
}

impl Default for CoalesceConfig {
    fn default() -> Self {
        Self { enabled: true, flights: 4_096, page_cache_bytes: 32 * 1024 * 1024, page_max_age_ms: 10_000 }
    }
}
