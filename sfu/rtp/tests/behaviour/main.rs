//! The UDP endpoint's behaviours, one file each.

mod address;
mod common;
mod flood;
mod known_answers;
mod random;
mod sending;
mod spoofing;
