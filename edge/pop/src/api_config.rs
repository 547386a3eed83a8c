//! The API's settings, which may change while the point of presence runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rookery_edge_api::{Config, ConfigError};

/// The API's settings with a number that grows by every change.
///
/// Whoever holds on to settings (an instance) keeps the generation beside them and lets go once the numbers differ.
pub(crate) struct ApiConfig {
    generation: AtomicU64,
    current: RwLock<Settings>,
}

/// The settings at one moment. Clones share them.
#[derive(Clone)]
pub(crate) struct Settings {
    pub generation: u64,
    /// As the component reads them.
    pub cbor: Arc<[u8]>,
    /// As native code reads them.
    pub config: Arc<Config>,
}

impl ApiConfig {
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let cbor = config.to_cbor()?.into();
        let settings = Settings { generation: 0, cbor, config: Arc::new(config) };
        Ok(Self { generation: AtomicU64::new(0), current: RwLock::new(settings) })
    }

    /// The number of changes so far.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The settings now.
    pub fn current(&self) -> Settings {
        self.current.read().clone()
    }

    /// Replaces the settings for all requests that begin from now on.
    pub fn replace(&self, config: Config) -> Result<(), ConfigError> {
        let cbor = config.to_cbor()?.into();
        let mut current = self.current.write();
        let generation = current.generation + 1;
        *current = Settings { generation, cbor, config: Arc::new(config) };
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }
}
