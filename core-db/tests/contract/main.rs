//! What every engine must do, written against the interface.
//!
//! Each test takes a [`Factory`], so that another engine runs the same tests by adding a line to `engines!`. Nothing
//! here may ask for more than the interface promises: no isolation between rows of a batch, no order between writers
//! that do not wait for each other.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what tests share fails and prints like a test")]

mod accounts;
mod channels;
mod faults;
mod guilds;
mod lifecycle;
mod messages;
mod sample;
mod unique;

use rookery_core_db::{EmbeddedConfig, Store};

/// Makes stores of one engine.
trait Factory {
    /// A new, empty store.
    fn empty() -> Self;
    /// The same store's data, opened again after everything before was closed.
    fn open(&self) -> Store;
}

/// The embedded engine in a folder of its own.
struct Embedded(tempfile::TempDir);

impl Factory for Embedded {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn open(&self) -> Store {
        Store::open_embedded(EmbeddedConfig::new(self.0.path())).unwrap()
    }
}

/// Runs a contract for every engine.
macro_rules! contract {
    ($($group:ident { $($test:ident),* $(,)? })*) => {
        mod embedded {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    use crate::Factory;
                    crate::$group::$test(crate::Embedded::empty()).await;
                })*
            })*
        }
    };
}

contract! {
    accounts { accounts_are_found_by_id_and_by_names, applications_follow_their_owner, read_states_are_kept_by_user }
    channels { channels_know_their_guild, dms_are_found_by_channel_and_by_user, a_deleted_dm_is_gone_with_its_pair }
    guilds {
        a_guild_is_read_part_by_part,
        members_and_bans_come_in_pages,
        invites_are_found_by_code_and_by_guild,
        a_deleted_guild_is_gone_with_everything,
    }
    messages {
        pages_are_newest_first_from_every_side,
        pages_cross_buckets,
        channels_do_not_see_each_other,
        an_edit_replaces_and_a_delete_removes,
        reactions_are_counted_and_listed,
        pins_are_newest_pin_first,
        authors_are_indexed,
        a_deleted_channel_is_gone_at_once_and_its_contents_soon,
    }
    unique {
        only_one_of_many_claims_wins,
        a_claim_can_be_repeated_and_released,
        claims_see_what_was_submitted_before,
    }
    lifecycle {
        what_was_acknowledged_is_there_after_a_restart,
        the_last_of_many_writes_wins,
        writes_submitted_before_closing_are_kept,
        the_id_ceiling_only_rises,
        operations_are_found_and_old_ones_purged,
        what_cannot_be_stored_is_refused_alone,
        many_batches_share_an_fsync,
        a_full_queue_is_busy,
    }
    faults {
        retries_after_unknown_outcomes_converge,
        claims_stay_unique_with_unknown_outcomes,
        stale_reads_become_current,
    }
}
