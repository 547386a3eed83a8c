//! When a guild's core wants to be asked again although nobody tells it anything.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use rookery_model::Timestamp;
use tokio::time::Sleep;

use crate::id_generator::now;

/// A timer that follows what the core says is due.
#[derive(Default)]
pub(super) struct CoreTimer {
    due: Option<Timestamp>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl CoreTimer {
    /// What is due now.
    pub fn set(&mut self, due: Option<Timestamp>) {
        if self.due == due {
            return;
        }
        self.due = due;
        self.sleep = due.map(|due| {
            let left_us = u64::try_from(due.0.saturating_sub(now().0)).unwrap_or(0);
            Box::pin(tokio::time::sleep(Duration::from_micros(left_us)))
        });
    }

    /// Ends when it is due; never if nothing is.
    pub async fn wait(&mut self) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().await,
            None => pending().await,
        }
        // The core may find that its clock is not there yet: it is asked again.
        (self.due, self.sleep) = (None, None);
    }
}
