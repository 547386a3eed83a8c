//! The component inside the binary.

/// The precompiled component; empty if the binary was built without one. See `build.rs`.
pub static EMBEDDED: &[u8] = include_bytes!(env!("ROOKERY_EMBEDDED_COMPONENT"));
