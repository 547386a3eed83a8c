//! Ending in order: a signal, a deadline, and the tasks in between.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::{DrainEnded, DrainStarted, Event as _};

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every tracked task ended.
    Finished,
    /// The deadline passed.
    DeadlineExceeded {
        /// Tasks that were still running.
        unfinished: usize,
    },
    /// A second signal came.
    Forced {
        /// Tasks that were still running.
        unfinished: usize,
    },
}

/// The end of a process; clones share it.
///
/// Tasks that hold work run under [`Drain::spawn`] and watch [`Drain::token`]: cancelled, they take nothing new, finish
/// what they have, and return.
#[derive(Clone, Debug)]
pub struct Drain {
    stop: CancellationToken,
    force: CancellationToken,
    tasks: TaskTracker,
    deadline: Duration,
}

impl Drain {
    /// A drain that gives tracked tasks `deadline` to end.
    pub fn new(deadline: Duration) -> Self {
        Self { stop: CancellationToken::new(), force: CancellationToken::new(), tasks: TaskTracker::new(), deadline }
    }

    /// Makes SIGTERM and SIGINT begin the drain, and a second one end it. Must be called inside a tokio runtime.
    ///
    /// The signals are caught from when this returns.
    pub fn listen_for_signals(&self) -> io::Result<()> {
        let mut signals =
            Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        let drain = self.clone();
        tokio::spawn(async move {
            drain.begin(signals.next().await);
            signals.next().await;
            drain.force.cancel();
        });
        Ok(())
    }

    /// Begins the drain; `reason` is for the log. Later calls do nothing.
    pub fn begin(&self, reason: &str) {
        if !self.stop.is_cancelled() {
            DrainStarted { reason, deadline: self.deadline }.emit();
            self.stop.cancel();
        }
    }

    /// Cancelled when the drain begins.
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        self.stop.cancelled().await;
    }

    /// Runs a task that the drain waits for.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Begins the drain if nothing else has, runs `ending`, the steps that have an order, and waits for the tracked
    /// tasks: until all that is done, the deadline, or a second signal. What is unfinished then, `ending` among it, is
    /// left to the end of the runtime.
    pub async fn finish(&self, ending: impl Future<Output = ()>) -> DrainOutcome {
        self.begin("the process has nothing more to do");
        self.tasks.close();
        let started = Instant::now();
        let mut steps_left = 1;
        let everything = async {
            ending.await;
            steps_left = 0;
            self.tasks.wait().await;
        };
        let waited = tokio::select! {
            biased;
            waited = timeout(self.deadline, everything) => waited.ok(),
            () = self.force.cancelled() => None,
        };
        let unfinished = self.tasks.len() + steps_left;
        let outcome = match waited {
            Some(()) => DrainOutcome::Finished,
            None if self.force.is_cancelled() => DrainOutcome::Forced { unfinished },
            None => DrainOutcome::DeadlineExceeded { unfinished },
        };
        let unfinished = match outcome {
            DrainOutcome::Finished => 0,
            DrainOutcome::DeadlineExceeded { unfinished } | DrainOutcome::Forced { unfinished } => unfinished,
        };
        DrainEnded { unfinished, took: started.elapsed() }.emit();
        outcome
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tracked_tasks_are_told_and_waited_for() {
        let drain = Drain::new(Duration::from_secs(60));
        let token = drain.token();
        let task = drain.spawn(async move {
            token.cancelled().await;
            7
        });
        assert!(!drain.token().is_cancelled());
        assert_eq!(drain.finish(async {}).await, DrainOutcome::Finished);
        assert_eq!(task.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn the_deadline_ends_it() {
        let drain = Drain::new(Duration::from_millis(50));
        drain.spawn(std::future::pending::<()>());
        let started = Instant::now();
        assert_eq!(drain.finish(async {}).await, DrainOutcome::DeadlineExceeded { unfinished: 1 });
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn the_deadline_bounds_the_steps_in_order_too() {
        let drain = Drain::new(Duration::from_millis(20));
        let outcome = drain.finish(std::future::pending()).await;
        assert_eq!(outcome, DrainOutcome::DeadlineExceeded { unfinished: 1 });
    }

    #[tokio::test]
    async fn a_second_signal_ends_the_steps_in_order() {
        let drain = Drain::new(Duration::from_secs(20));
        drain.force.cancel();
        assert_eq!(drain.finish(std::future::pending()).await, DrainOutcome::Forced { unfinished: 1 });
    }
}
