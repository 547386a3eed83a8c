//! Layered configuration whose mistakes are all reported together.
//!
//! Later layers win, key by key:
//! 1. what the types default to (`#[serde(default)]`);
//! 2. a file, TOML, or JSON if its name ends so;
//! 3. environment variables: `ROOKERY_REST__GLOBAL_PER_SECOND=50` is `rest.global_per_second`;
//! 4. `--set rest.global_per_second=50`.
//!
//! The types carry `#[serde(default, deny_unknown_fields)]`, so a key that nobody reads is a mistake. Values out of
//! layers 3 and 4 are read as a number, a boolean, `[…]` or `{…}` where they look like one, and as plain text where that
//! does not fit the key.

mod extract;
mod layers;
mod mistakes;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use layers::{ENV_PREFIX, RESERVED_ENV};
pub use mistakes::{ConfigErrors, Mistake, Mistakes};

use extract::{Extracted, extract};
use layers::Layers;

/// Checks that reach across fields, or beyond what a type can say.
pub trait Validate {
    /// Adds what is wrong with this part; paths are relative to it.
    fn validate(&self, mistakes: &mut Mistakes);
}

/// Loads a configuration from a file, the process's environment and `--set` arguments.
///
/// On failure the error has **every** mistake of all layers: syntax, unknown keys, wrong types, and what
/// [`Validate`] finds.
pub fn load<T: DeserializeOwned + Validate>(file: Option<&Path>, sets: &[String]) -> Result<T, ConfigErrors> {
    let environment = std::env::vars_os().filter_map(|(key, value)| {
        // A name or value that is no text cannot be one of ours.
        Some((key.into_string().ok()?, value.into_string().ok()?))
    });
    load_from(file, environment, sets)
}

/// Like [`load`] with an environment that is given.
pub fn load_from<T: DeserializeOwned + Validate>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    sets: &[String],
) -> Result<T, ConfigErrors> {
    let mut mistakes = Mistakes::default();
    let mut layers = Layers::default();
    if let Some(file) = file {
        layers.add_file(file, &mut mistakes);
    }
    layers.add_environment(environment);
    layers.add_sets(sets, &mut mistakes);
    match extract::<T>(layers, &mut mistakes) {
        Extracted::Faithful(config) => {
            config.validate(&mut mistakes);
            mistakes.into_result(config)
        }
        Extracted::Mended(config) => {
            let mut further = Mistakes::default();
            config.validate(&mut further);
            mistakes.append_unless_known(further);
            Err(mistakes.into_errors())
        }
        Extracted::Nothing => Err(mistakes.into_errors()),
    }
}
