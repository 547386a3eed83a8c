//! The simulation over many seeds, and the planted bugs that it must find.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

use rookery_test_placement::check::Invariant;
use rookery_test_placement::plant::Plant;
use rookery_test_placement::world::World;
use rookery_test_seeds::{hold, is_found};

#[test]
fn whatever_happens_each_shard_has_one_owner_and_soon_has_one_again() {
    hold::<World>("cargo test -p rookery-test-placement --test placement whatever");
}

#[test]
fn planted_blind_acknowledgements_are_found() {
    // Who does not ask issues ids below those of its successor, too.
    is_found::<World>(Plant::AcknowledgedBlindly, &[Invariant::OneOwner, Invariant::IdsRise]);
}

#[test]
fn planted_clock_that_stands_still_in_a_pause_is_found() {
    is_found::<World>(Plant::ClockStandsStill, &[Invariant::OneOwner, Invariant::IdsRise, Invariant::Epochs]);
}

#[test]
fn planted_unknown_taken_for_applied_is_found() {
    // Where a hand-over is taken for done that was not, nobody is left who knows of the shard.
    let also = [Invariant::OwnedAgain, Invariant::Converged, Invariant::OneOwner, Invariant::IdsRise];
    let by: Vec<Invariant> = [Invariant::Epochs].into_iter().chain(also).collect();
    is_found::<World>(Plant::UnknownTakenForApplied, &by);
}

#[test]
fn planted_swaps_that_compare_nothing_are_found() {
    is_found::<World>(Plant::UnconditionalSwaps, &[Invariant::Epochs, Invariant::OneOwner]);
}

#[test]
fn planted_disregard_of_timestamp_floors_is_found() {
    is_found::<World>(Plant::TimestampFloorIgnored, &[Invariant::NotHidden]);
}

#[test]
fn planted_disregard_of_id_floors_is_found() {
    is_found::<World>(Plant::IdFloorIgnored, &[Invariant::IdsRise]);
}

#[test]
fn planted_disregard_of_ceilings_is_found() {
    is_found::<World>(Plant::CeilingsIgnored, &[Invariant::IdsRise, Invariant::NotHidden]);
}

#[test]
fn planted_drains_without_marks_are_found() {
    is_found::<World>(Plant::DrainedWithoutMarks, &[Invariant::IdsRise, Invariant::NotHidden]);
}

#[test]
fn planted_impatience_is_found() {
    is_found::<World>(Plant::Impatience, &[Invariant::OneOwner, Invariant::IdsRise]);
}

#[test]
fn planted_deafness_to_asks_is_found() {
    is_found::<World>(Plant::DeafToAsks, &[Invariant::Converged, Invariant::HandOver]);
}
