//! The programs that a lab consists of.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rookery_test_cluster::Runtime;

/// Where tests find programs: set by `cargo xtask test` and `cargo xtask env`.
const ROOKERY_VARIABLE: &str = "ROOKERY_BIN";
const NATS_VARIABLE: &str = "ROOKERY_TEST_NATS";
pub const TERRAFORM_VARIABLE: &str = "ROOKERY_TEST_TERRAFORM";
/// Set where tests that need these are left out.
const SKIP_VARIABLES: [&str; 3] = [rookery_test_cluster::SKIP_VARIABLE, "ROOKERY_SKIP_NATS", "ROOKERY_SKIP_INFRA"];
/// Where servers are that are not on a user's search path.
const SERVER_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];

/// Where each program is.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The binary under test.
    pub rookery: PathBuf,
    /// This crate's `rookery-wan`.
    pub wan: PathBuf,
    pub nats_server: PathBuf,
    /// Terraform or OpenTofu, which renders what machines are told.
    pub terraform: PathBuf,
    pub gdnsd: PathBuf,
    /// coturn.
    pub turnserver: PathBuf,
    pub prometheus: PathBuf,
    /// Cassandra and its Java.
    pub runtime: Runtime,
    /// The root of the repository, where templates are.
    pub repository: PathBuf,
}

impl Programs {
    /// Those that the variables of `cargo xtask env` name; `None` where the tests are to be left out.
    pub fn from_env(wan: &Path) -> Result<Option<Self>> {
        if SKIP_VARIABLES.iter().any(|name| env::var_os(name).is_some()) {
            return Ok(None);
        }
        let get = |name: &str| {
            let path = env::var_os(name).map(PathBuf::from);
            path.with_context(|| format!("{name} is not set: use `cargo xtask test` or `eval \"$(cargo xtask env)\"`"))
        };
        let Some(runtime) = Runtime::from_env()? else { return Ok(None) };
        Ok(Some(Self {
            rookery: get(ROOKERY_VARIABLE)?,
            wan: wan.to_owned(),
            nats_server: get(NATS_VARIABLE)?,
            terraform: get(TERRAFORM_VARIABLE)?,
            gdnsd: server("gdnsd")?,
            turnserver: server("turnserver")?,
            prometheus: server("prometheus")?,
            runtime,
            repository: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
        }))
    }
}

/// Where a server of the distribution is.
pub fn server(name: &str) -> Result<PathBuf> {
    let found = SERVER_FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not installed: run `cargo xtask setup`"))
}
