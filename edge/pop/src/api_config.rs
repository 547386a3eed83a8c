//! The API's settings, which may change while the point of presence runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// The API's settings as opaque CBOR, with a number that grows by every change.
///
/// Whoever derived something from the settings (an instance, a decoded copy) keeps the generation beside it and
/// throws the derived thing away once the numbers differ.
pub(crate) struct ApiConfig {
    generation: AtomicU64,
    bytes: RwLock<Arc<[u8]>>,
}

impl ApiConfig {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { generation: AtomicU64::new(0), bytes: RwLock::new(bytes.into()) }
    }

    /// The number of changes so far.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The settings and the generation they are of.
    pub fn current(&self) -> (u64, Arc<[u8]>) {
        let bytes = self.bytes.read();
        (self.generation(), Arc::clone(&bytes))
    }

    /// Replaces the settings for all requests that begin from now on.
    pub fn replace(&self, bytes: Vec<u8>) {
        let mut current = self.bytes.write();
        *current = bytes.into();
        self.generation.fetch_add(1, Ordering::Release);
    }
}
