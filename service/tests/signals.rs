//! Signals to a whole process; alone in its file, because they reach every test of one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use rookery_service::{Drain, DrainOutcome};
use tokio::time::timeout;

fn signal(name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), std::process::id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn the_first_signal_begins_the_drain_and_the_second_ends_it() {
    let drain = Drain::new(Duration::from_secs(600));
    drain.listen_for_signals().unwrap();
    let token = drain.token();
    let orderly = drain.spawn(async move { token.cancelled().await });
    drain.spawn(std::future::pending::<()>());
    assert!(!drain.token().is_cancelled());

    signal("TERM");
    timeout(Duration::from_secs(20), drain.begun()).await.unwrap();
    let finishing = tokio::spawn({
        let drain = drain.clone();
        async move { drain.finish(async {}).await }
    });
    orderly.await.unwrap();
    assert!(!finishing.is_finished(), "one task is still at work");

    signal("INT");
    let outcome = timeout(Duration::from_secs(20), finishing).await.unwrap().unwrap();
    assert_eq!(outcome, DrainOutcome::Forced { unfinished: 1 });
}
