//! Links between two or three nodes over a bus that drops, repeats, reorders, delays and is cut, on virtual time, from
//! seeds; processes end and come back as others, and callers stop polling for a while.
//!
//! Whatever happens: frames come exactly once and in order; after a hole, or of another process, none comes without the
//! event that says so; what is held stays within its bounds; and when the faults end, everything arrives.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them with a trace of what happens.

mod check;
mod plant;
mod weather;
mod world;

use check::Invariant;
use plant::Plant;
use rookery_test_seeds::{hold, is_found};
use world::World;

#[test]
fn whatever_happens_frames_come_once_and_in_order_or_a_loss_is_told_first() {
    hold::<World>("cargo test -p rookery-relay --test simulation whatever");
}

#[test]
fn planted_acknowledgements_of_what_is_missing_are_found() {
    // The stream stalls until it is given up, or to the end.
    is_found::<World>(Plant::AckAhead, &[Invariant::NoNeedlessLoss, Invariant::Convergence]);
}

#[test]
fn planted_silence_about_a_loss_is_found() {
    is_found::<World>(Plant::LossSwallowed, &[Invariant::LossToldFirst]);
}

#[test]
fn planted_silence_about_a_restart_is_found() {
    is_found::<World>(Plant::RestartSwallowed, &[Invariant::LossToldFirst]);
}

#[test]
fn planted_packets_for_another_process_that_are_taken_are_found() {
    // What the stream has then is another's: too much, too little, or nothing at all.
    let by = [Invariant::Order, Invariant::Whole, Invariant::LossToldFirst, Invariant::Convergence];
    is_found::<World>(Plant::AnyReceiver, &by);
}

#[test]
fn planted_belief_in_whoever_speaks_is_found() {
    // An old packet of a process that ended before anybody knew it drives out its successor.
    let by = [Invariant::Convergence, Invariant::Order, Invariant::Whole, Invariant::LossToldFirst];
    is_found::<World>(Plant::AnyAnswer, &by);
}

#[test]
fn planted_cells_of_an_epoch_that_is_over_are_found() {
    is_found::<World>(
        Plant::AnyEpoch,
        &[Invariant::Order, Invariant::Whole, Invariant::LossToldFirst, Invariant::Convergence],
    );
}

#[test]
fn planted_wrong_numbers_are_found() {
    is_found::<World>(
        Plant::ShiftedNumbers,
        &[Invariant::Order, Invariant::Whole, Invariant::LossToldFirst, Invariant::NoNeedlessLoss],
    );
}
