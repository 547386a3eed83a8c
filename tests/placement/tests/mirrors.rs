//! Mirrors over many seeds, and the planted bugs that they must find.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

use rookery_test_placement::check::Invariant;
use rookery_test_placement::mirrors::Mirrors;
use rookery_test_placement::plant::Plant;
use rookery_test_seeds::{hold, is_found};

#[test]
fn whatever_happens_nobody_reads_at_a_mirror_what_was_taken_away_before() {
    hold::<Mirrors>("cargo test -p rookery-test-placement --test mirrors whatever");
}

#[test]
fn planted_clock_that_stands_still_in_a_pause_is_found() {
    is_found::<Mirrors>(Plant::ClockStandsStill, &[Invariant::NoReadOfTheRevoked, Invariant::MirrorsInTime]);
}

#[test]
fn planted_oblivion_of_the_mirrors_of_an_owner_before_is_found() {
    is_found::<Mirrors>(Plant::MirrorsOfBeforeForgotten, &[Invariant::NoReadOfTheRevoked]);
}

#[test]
fn planted_grants_of_an_owner_of_the_past_are_found() {
    is_found::<Mirrors>(Plant::GrantsOfThePast, &[Invariant::NoReadOfTheRevoked]);
}

#[test]
fn planted_confirmation_before_application_is_found() {
    let by = [Invariant::TrueCopies, Invariant::OwnWrites, Invariant::NoReadOfTheRevoked];
    is_found::<Mirrors>(Plant::ConfirmedBeforeApplied, &by);
}

#[test]
fn planted_leases_counted_from_their_arrival_are_found() {
    is_found::<Mirrors>(Plant::LeaseFromArrival, &[Invariant::NoReadOfTheRevoked]);
}

#[test]
fn planted_snapshots_of_the_past_are_found() {
    is_found::<Mirrors>(Plant::StaleSnapshots, &[Invariant::TrueCopies, Invariant::NoReadOfTheRevoked]);
}
