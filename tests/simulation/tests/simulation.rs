//! The simulation over many seeds, and the planted bugs that it must find.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

use rookery_test_seeds::{hold, is_found};
use rookery_test_simulation::check::Invariant;
use rookery_test_simulation::plant::Plant;
use rookery_test_simulation::world::World;

#[test]
fn whatever_happens_everybody_is_told_what_is_theirs_and_nothing_else() {
    hold::<World>("cargo test -p rookery-test-simulation whatever");
}

#[test]
fn planted_swapped_events_are_found() {
    is_found::<World>(Plant::SwappedEvents, &[Invariant::Order]);
}

#[test]
fn planted_stale_audience_is_found() {
    // It reaches those who may no longer read, misses those who may read now, and comes twice to those who move between
    // the halves of an audience with and without content.
    is_found::<World>(Plant::StaleAudience, &[Invariant::Visibility, Invariant::NoGap, Invariant::NoRepeat]);
}

#[test]
fn planted_replay_from_the_last_number_is_found() {
    is_found::<World>(Plant::ReplayFromSeq, &[Invariant::NoRepeat]);
}

#[test]
fn planted_drops_while_detached_are_found() {
    // A client that misses the last word about something holds the wrong state in the end.
    is_found::<World>(Plant::DroppedWhileDetached, &[Invariant::NoGap, Invariant::State]);
}

#[test]
fn planted_content_for_all_is_found() {
    is_found::<World>(Plant::ContentForAll, &[Invariant::Content]);
}
