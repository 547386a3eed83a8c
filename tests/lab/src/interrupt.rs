//! Ctrl-C: what was begun is undone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether the user wants a command to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    /// Hung up when a signal came.
    came: Arc<Mutex<Receiver<()>>>,
    /// Held by one that never comes.
    _never: Option<SyncSender<()>>,
}

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

impl Interrupt {
    /// Takes SIGINT and SIGTERM from here on: instead of ending the program they are told by [`Self::check`].
    pub fn take() -> Result<Self> {
        let (sender, came) = sync_channel::<()>(1);
        let mut signals = signal_hook::iterator::Signals::new(SIGNALS)?;
        thread::spawn(move || {
            let _first = signals.forever().next();
            // Hung up: that is what is told.
            drop(sender);
        });
        Ok(Self { came: Arc::new(Mutex::new(came)), _never: None })
    }

    /// One that never comes.
    pub fn never() -> Self {
        let (sender, came) = sync_channel::<()>(1);
        Self { came: Arc::new(Mutex::new(came)), _never: Some(sender) }
    }

    /// An error once the user wants an end.
    pub fn check(&self) -> Result<()> {
        self.check_after(Duration::ZERO)
    }

    /// Likewise, after that time or as soon as the user wants an end.
    pub(crate) fn check_after(&self, time: Duration) -> Result<()> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        match came.recv_timeout(time) {
            Err(RecvTimeoutError::Disconnected) => bail!("interrupted"),
            Ok(()) | Err(RecvTimeoutError::Timeout) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn a_signal_is_told_and_stays_told() {
        let never = Interrupt::never();
        let interrupt = Interrupt::take().unwrap();
        interrupt.check().unwrap();
        kill_process(getpid(), Signal::INT).unwrap();
        let told = interrupt.check_after(Duration::from_secs(60)).unwrap_err();
        assert_eq!(told.to_string(), "interrupted");
        assert!(interrupt.clone().check().is_err());
        never.check().unwrap();
    }
}
