//! Game days: faults of a running deployment under load, and a verdict on what its clients saw.
//!
//! A scenario ([`scenario`]) is played on a [`deployment::Deployment`]: processes that it starts itself, or a lab. People
//! and bots in several regions ([`scene`]) talk in shared guilds ([`load`]), and a client for each writes down what comes
//! over the gateway ([`listener`], [`journal`]). In the end everything is compared: what was acknowledged, what each
//! session was sent, and what each region shows ([`record`]); `rookery-test-history` judges what readers saw. The outcome
//! is a [`verdict::Verdict`]: every invariant with what broke it, and figures.

pub mod deployment;
pub mod journal;
pub mod listener;
pub mod load;
pub mod record;
pub mod scenario;
pub mod scene;
pub mod stage;
pub mod verdict;
