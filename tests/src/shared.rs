//! One server for all tests of a file.

use std::sync::{Arc, LazyLock, Weak};

use tokio::sync::Mutex;

use crate::Rookery;

/// Each test has a runtime of its own that ends with it; what they share must live on one that stays.
static HOME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.expect("a runtime can be made as long as threads can")
});

/// A server that starts with the first test that wants it and ends with the last one that has it.
pub struct Shared {
    extra: &'static [&'static str],
    running: Mutex<Weak<InUse>>,
}

/// The server, for as long as a test holds it.
pub struct InUse {
    // In this order: the process ends before its folder goes.
    rookery: Rookery,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for InUse {
    type Target = Rookery;
    fn deref(&self) -> &Rookery {
        &self.rookery
    }
}

impl Shared {
    /// Nothing runs yet; `extra` are further arguments of `rookery dev`.
    pub const fn new(extra: &'static [&'static str]) -> Self {
        Self { extra, running: Mutex::const_new(Weak::new()) }
    }

    /// The server, started if it does not run.
    pub async fn get(&self) -> anyhow::Result<Arc<InUse>> {
        let mut running = self.running.lock().await;
        if let Some(server) = running.upgrade() {
            return Ok(server);
        }
        let extra = self.extra;
        let start = HOME.spawn(async move {
            let folder = tempfile::tempdir()?;
            let rookery = Rookery::start(&folder.path().join("data"), extra).await?;
            anyhow::Ok(Arc::new(InUse { rookery, _folder: folder }))
        });
        let server = start.await??;
        *running = Arc::downgrade(&server);
        Ok(server)
    }
}
