//! The API's environment as the host provides it.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rookery_edge_api::{CallFailure, Config, Env};

use crate::bindings::rookery::edge::config;
use crate::bindings::rookery::edge::region::{self, CallError};

/// Settings and the way to the region, one for the life of the instance.
pub struct ComponentEnv {
    config: Config,
}

impl ComponentEnv {
    /// The instance's environment; the settings are decoded at the first request.
    pub fn get() -> &'static Self {
        static ENV: OnceLock<ComponentEnv> = OnceLock::new();
        ENV.get_or_init(|| {
            let config = ciborium::from_reader(config::get().as_slice())
                .unwrap_or_else(|error| panic!("the host's settings for the API do not decode: {error}"));
            Self { config }
        })
    }
}

impl Env for ComponentEnv {
    fn config(&self) -> &Config {
        &self.config
    }

    async fn call(&self, payload: Vec<u8>) -> Result<Vec<u8>, CallFailure> {
        region::call(&payload).map_err(|error| match error {
            CallError::Busy => CallFailure::Busy,
            CallError::Unavailable => CallFailure::Unavailable,
            CallError::DeadlineExceeded => CallFailure::DeadlineExceeded,
            CallError::TooLarge => CallFailure::TooLarge,
        })
    }

    fn now_ms(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}
