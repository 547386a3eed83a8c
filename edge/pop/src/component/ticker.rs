//! The clock by which the component's computing time is measured.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rookery_edge_engine::EPOCH_TICK_MS;
use wasmtime::Engine;

/// Advances an engine's epoch until dropped.
///
/// A thread of its own, not a task: if every worker of the runtime were caught in a component's loop, a task would never
/// run, and it is just then that the epoch must advance.
pub(crate) struct EpochTicker {
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("epoch-ticker".into()).spawn(move || {
            let tick = Duration::from_millis(EPOCH_TICK_MS);
            while stopped.recv_timeout(tick) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        // The thread sees its channel closed and ends within a tick.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then there is nothing left to stop.
            let _ = thread.join();
        }
    }
}
