//! What every engine must do, written against the interface.
//!
//! Each test takes a [`Factory`], so that another engine runs the same tests by adding a line to `engines!`. Nothing
//! here may ask for more than the interface promises: no isolation between rows of a batch, no order between writers
//! that do not wait for each other.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what tests share fails and prints like a test")]

mod accounts;
mod channels;
mod cluster;
mod dump;
mod faults;
mod guilds;
mod jobs;
mod leases;
mod lifecycle;
mod messages;
mod outbox;
mod records;
mod sample;
mod unique;

use std::time::{Duration, Instant};

use rookery_core_db::{EmbeddedConfig, Store};

/// Makes stores of one engine.
trait Factory: Sized {
    /// A new, empty store.
    async fn empty() -> Self;
    /// The same store's data, opened again after everything before was closed.
    async fn open(&self) -> Store;
    /// Another new, empty store beside this one.
    async fn another(&self) -> Self {
        Self::empty().await
    }
}

/// How long an engine may take in the background for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so; a test that spins takes the processor from the engine.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The embedded engine in a folder of its own.
struct Embedded(tempfile::TempDir);

impl Factory for Embedded {
    async fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    async fn open(&self) -> Store {
        Store::open_embedded(EmbeddedConfig::new(self.0.path())).unwrap()
    }
}

/// Runs tests for the embedded engine.
macro_rules! embedded {
    ($($group:ident { $($test:ident),* $(,)? })*) => {
        $(mod $group {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                use crate::Factory;
                crate::$group::$test(crate::Embedded::empty().await).await;
            })*
        })*
    };
}

/// Runs a contract for every engine; for CQL where there is a cluster.
macro_rules! contract {
    ($($group:ident { $($test:ident),* $(,)? })*) => {
        mod embedded {
            embedded! { $($group { $($test),* })* }
        }
        mod cql {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(factory) = crate::cluster::Cql::if_given().await {
                        crate::$group::$test(factory).await;
                    }
                })*
            })*
        }
    };
}

contract! {
    accounts { accounts_are_found_by_id_and_by_names, applications_follow_their_owner, read_states_are_kept_by_user }
    channels { channels_know_their_guild, dms_are_found_by_channel_and_by_user, a_deleted_dm_is_gone_with_its_pair,
        a_call_is_kept_with_its_dm_and_its_message }
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
        a_page_stays_full_across_deleted_messages,
        a_deleted_channel_is_gone_at_once_and_its_contents_soon,
    }
    records {
        settings_and_relationships_are_kept_by_user,
        emojis_are_those_of_their_guild,
        live_stages_are_those_of_their_guild_and_go_with_their_channel,
        webhooks_are_found_by_id_by_guild_and_where_they_moved,
        the_audit_log_is_newest_first_over_its_buckets,
        a_deleted_guild_takes_along_what_stands_beside_it,
        former_contents_are_newest_first_and_go_with_their_message,
        former_contents_are_erased_with_their_author,
        files_that_go_leave_their_objects_to_be_removed,
        what_is_larger_than_it_may_be_is_refused,
    }
    outbox { work_is_read_oldest_first_until_it_is_done, late_work_is_found_from_the_beginning }
    leases {
        a_swap_expects_what_stands_there,
        virtual_shards_are_those_of_their_region,
        only_one_of_many_takes_a_lease,
        swaps_whose_outcome_was_unknown_can_be_repeated,
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
        a_full_queue_is_busy,
    }
    dump {
        every_section_of_a_dump_has_its_rows_once,
        a_dump_shows_what_was_written_and_not_what_was_deleted,
        an_archive_makes_an_equal_store,
        a_store_with_anything_in_it_takes_no_import,
    }
    jobs {
        an_erased_user_is_gone_at_once_and_everywhere,
        an_erasure_goes_on_after_a_restart,
        a_late_edit_does_not_bring_an_erased_message_back,
        old_messages_of_a_guild_go_and_pinned_ones_stay,
        a_retention_goes_with_its_guild,
    }
    faults {
        retries_after_unknown_outcomes_converge,
        claims_stay_unique_with_unknown_outcomes,
        stale_reads_become_current,
    }
}

/// What only the embedded engine promises.
mod embedded_only {
    embedded! { lifecycle { many_batches_share_an_fsync } }
}

/// What only an engine promises that many processes use.
mod cql_only {
    mod dump {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_store_that_another_node_uses_is_not_copied_as_of_one_moment() {
            if let Some(factory) = crate::cluster::Cql::if_given().await {
                crate::dump::a_store_that_another_node_uses_is_not_copied_as_of_one_moment(factory).await;
            }
        }
    }
}
