//! Which parts of a process are ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// The state of every part; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    /// Why a part is not ready; `None` if it is.
    parts: BTreeMap<String, Option<String>>,
}

impl State {
    fn is_ready(&self) -> bool {
        // Nobody has said anything yet: that is not readiness.
        !self.draining && !self.parts.is_empty() && self.parts.values().all(Option::is_none)
    }
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process wants work.
    pub ready: bool,
    /// Whether the process is going away.
    pub draining: bool,
    /// Its parts by name.
    pub parts: BTreeMap<String, PartReport>,
}

/// One part in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// Whether the part is ready.
    pub ready: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Readiness {
    /// A process without parts, which is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, not ready because it is `starting`. The process is ready when all its parts are.
    pub fn part(&self, name: impl Into<String>) -> Part {
        let part = Part { readiness: self.clone(), name: name.into() };
        part.not_ready("starting");
        part
    }

    /// From now on the process is not ready whatever its parts say, so that no new work is sent to it.
    pub fn start_draining(&self) {
        self.change(|state| state.draining = true);
    }

    /// Whether the process wants work.
    pub fn is_ready(&self) -> bool {
        *self.inner.ready.borrow()
    }

    /// Whether the process wants work, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    /// Waits until every part is ready.
    pub async fn wait_ready(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.watch().wait_for(|ready| *ready).await;
    }

    /// The state of every part.
    pub fn report(&self) -> Report {
        let state = self.inner.state.lock();
        let parts = state
            .parts
            .iter()
            .map(|(name, reason)| (name.clone(), PartReport { ready: reason.is_none(), reason: reason.clone() }));
        Report { ready: state.is_ready(), draining: state.draining, parts: parts.collect() }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.inner.state.lock();
        change(&mut state);
        let ready = state.is_ready();
        // Under the lock, so that changes are seen in the order in which they were made.
        self.inner.ready.send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }
}

/// A part's own handle to say how it is.
#[derive(Clone, Debug)]
pub struct Part {
    readiness: Readiness,
    name: String,
}

impl Part {
    /// The part can do its work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The part cannot do its work, for a reason that operators read.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// The part's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn set(&self, reason: Option<String>) {
        self.readiness.change(|state| {
            state.parts.insert(self.name.clone(), reason);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_all_its_parts_are() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready(), "nothing has said that it is ready");
        let (store, link) = (readiness.part("store"), readiness.part("link"));
        store.ready();
        assert!(!readiness.is_ready());
        link.ready();
        assert!(readiness.is_ready());
        store.not_ready("the disk is full");
        assert!(!readiness.is_ready());
        let report = readiness.report();
        assert_eq!(report.parts["store"].reason.as_deref(), Some("the disk is full"));
        assert!(report.parts["link"].ready && !report.ready && !report.draining);
        store.ready();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_draining_process_is_not_ready() {
        let readiness = Readiness::new();
        let part = readiness.part("store");
        part.ready();
        readiness.start_draining();
        part.ready();
        assert!(!readiness.is_ready());
        assert!(readiness.report().draining);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_part() {
        let readiness = Readiness::new();
        let part = readiness.part("store");
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait_ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        part.ready();
        waiting.await.unwrap();
    }
}
