//! World of bots and browsers on virtual time, from seeds, held against a brute-force model of who may hear and see whom.
//!
//! `ROOKERY_SIM_SEEDS=n` runs so many seeds, `ROOKERY_SIM_SEED=n` one of them.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod model;
mod plant;
mod receiver;
mod sender;
mod world;

use plant::Plant;
use rookery_test_seeds::{hold, is_found, run};
use world::{Rule, World};

#[test]
fn nobody_hears_or_sees_what_is_not_for_them_and_streams_stay_whole() {
    hold::<World>("cargo test -p rookery-forwarder --test simulation nobody");
}

#[test]
fn planted_bugs_are_found() {
    Plant::ALL.into_iter().for_each(|plant| is_found::<World>(plant, &[Rule::Model]));
}

#[test]
fn a_seed_gives_the_same_again() {
    let counts = || run::<World>(7, Plant::Nothing).unwrap();
    assert_eq!(counts(), counts());
}
