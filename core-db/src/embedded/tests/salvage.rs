//! The way out of damage: an export of what is left, and what it must not bring along.

use std::path::Path;
use std::sync::Arc;

use rookery_model::store::{ImportRow, Write};
use rookery_model::{MessageId, UserId};

use super::{key, open, plant};
use crate::archive::{self, ArchiveError, Event, ExportOptions, ImportOptions, Manifest, Report, StoreDigest};
use crate::dump::{DumpRow, Section};
use crate::embedded::EmbeddedEngine;
use crate::engine::{Engine as _, MessageRange};
use crate::fill::{self, FillPlan, fill};
use crate::row::hex;
use crate::tables::Table;
use crate::tables::purges::Purge;
use crate::{EmbeddedConfig, OpenError, Store};

fn quiet() -> Report {
    Arc::new(|_: Event| {})
}

async fn export(store: &Store, folder: &Path, skip_damaged: bool) -> Result<Manifest, ArchiveError> {
    let options = ExportOptions { skip_damaged, ..ExportOptions::default() };
    archive::export(store, folder, options, quiet()).await
}

async fn digest(store: &Store) -> (StoreDigest, usize) {
    let (digest, damaged) = archive::digest(store, &quiet()).await.unwrap();
    (digest, damaged.len())
}

/// Imports an archive into a new store, which must then hold what the manifest says.
async fn imported(folder: &Path, archive_folder: &Path, manifest: &Manifest) -> Store {
    let (_, target) = open(&folder.join("target"));
    archive::import(&target, archive_folder, ImportOptions::default(), quiet()).await.unwrap();
    assert_eq!(digest(&target).await, (manifest.digest.clone(), 0));
    target
}

#[tokio::test]
async fn what_is_left_of_a_damaged_store_becomes_a_sound_one() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(&folder.path().join("source"));
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let (whole, _) = digest(&store).await;
    let channel_id = fill::channel_id(0, 0);
    let victim = store.messages(channel_id, MessageRange::Latest, 3).await.unwrap()[2].id;
    let message_key = crate::tables::messages::key(channel_id, victim).as_bytes().to_vec();
    let account_key = key(Table::Accounts, &[fill::user_id(5).get()]);
    plant(&engine, Table::Messages, message_key.clone(), &[9]);
    plant(&engine, Table::Accounts, account_key.clone(), &[9]);

    let archive_folder = folder.path().join("archive");
    let refused = export(&store, &archive_folder, false).await;
    assert!(matches!(refused, Err(ArchiveError::DamagedRow(row)) if row.key == hex(&account_key)));
    let archive_folder = folder.path().join("another");
    let manifest = export(&store, &archive_folder, true).await.unwrap();
    let damaged: Vec<_> = manifest.damaged.iter().map(|row| (row.table.as_str(), row.key.clone())).collect();
    assert_eq!(damaged, [("accounts", hex(&account_key)), ("messages", hex(&message_key))]);
    assert_eq!(manifest.digest.total().rows, whole.total().rows - 2);
    let target = imported(folder.path(), &archive_folder, &manifest).await;
    assert_eq!(target.message(channel_id, victim).await, Ok(None));
    assert_eq!(target.id_ceiling().await, store.id_ceiling().await);
}

/// What says what is deleted cannot be read: nobody is served, and what is left can still be saved.
#[tokio::test]
async fn a_damaged_removal_holds_up_serving_and_not_saving() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    let (engine, store) = open(&source);
    fill(&store, FillPlan::new(500)).await.unwrap();
    let (wanted, _) = digest(&store).await;
    let purge_key = [key(Table::Purges, &[]), vec![7]].concat();
    plant(&engine, Table::Purges, purge_key.clone(), &[1]);
    store.close().await.unwrap();
    drop((engine, store));

    match EmbeddedEngine::open(EmbeddedConfig::new(&source)) {
        Err(OpenError::Removals { reason, .. }) => assert!(reason.contains(&hex(&purge_key)), "{reason}"),
        other => panic!("{:?}", other.err()),
    }
    let store = Store::open_embedded(EmbeddedConfig { salvage: true, ..EmbeddedConfig::new(&source) }).unwrap();
    assert_eq!(digest(&store).await, (wanted.clone(), 1));
    let archive_folder = folder.path().join("archive");
    let refused = export(&store, &archive_folder, false).await;
    assert!(matches!(refused, Err(ArchiveError::DamagedRow(row)) if row.table == "purges"));
    let manifest = export(&store, &archive_folder, true).await.unwrap();
    assert_eq!((manifest.damaged.len(), &manifest.digest), (1, &wanted));
    imported(folder.path(), &archive_folder, &manifest).await;
}

#[tokio::test]
async fn an_id_ceiling_that_cannot_be_read_is_taken_from_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(&folder.path().join("source"));
    fill(&store, FillPlan::new(500)).await.unwrap();
    // An id that the clock has not reached.
    let channel_id = fill::channel_id(0, 0);
    let mut ahead = store.messages(channel_id, MessageRange::Latest, 1).await.unwrap()[0].clone();
    ahead.id = MessageId(rookery_model::Snowflake::floor_of_ms(4_000_000_000_000));
    store.write(vec![Write::PutMessage(ahead.clone())]).await.unwrap();
    plant(&engine, Table::Leases, key(Table::Leases, &[0]), &[1, 2, 3]);

    let archive_folder = folder.path().join("archive");
    let refused = export(&store, &archive_folder, false).await;
    assert!(matches!(refused, Err(ArchiveError::DamagedRow(row)) if row.table == "leases"));
    let manifest = export(&store, &archive_folder, true).await.unwrap();
    assert_eq!((manifest.ceiling_of_rows, manifest.id_ceiling_ms), (true, ahead.id.0.unix_ms()));
    let target = imported(folder.path(), &archive_folder, &manifest).await;
    assert_eq!(target.id_ceiling().await, Ok(ahead.id.0.unix_ms()));
}

#[tokio::test]
async fn a_part_of_an_archive_is_not_exported_as_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let (_, store) = open(&folder.path().join("source"));
    fill(&store, FillPlan::new(500)).await.unwrap();
    let import = ImportRow { archive_id: "abc".into(), segments_done: 3 };
    store.write(vec![Write::PutImport(import)]).await.unwrap();
    for skip_damaged in [false, true] {
        let error = export(&store, &folder.path().join("archive"), skip_damaged).await.unwrap_err();
        assert!(matches!(error, ArchiveError::HalfImported { segments_done: 3, .. }), "{error}");
        assert!(error.to_string().contains("archive abc") && error.to_string().contains("import --resume"), "{error}");
    }
}

/// The messages that rows of a section belong to.
async fn messages_of(store: &Store, section: Section) -> Vec<MessageId> {
    let page = store.dump(section, None, 100_000).await.unwrap();
    assert!(page.next.is_none() && page.damaged.is_empty());
    let of_row = |row: &DumpRow| match row {
        DumpRow::Write(Write::PutMessage(message)) => message.id,
        DumpRow::Write(Write::PutPin { message_id, .. }) => *message_id,
        DumpRow::Write(Write::PutReaction(reaction)) => reaction.message_id,
        DumpRow::Write(Write::PutReactionCount(count)) => count.message_id,
        other => panic!("{other:?}"),
    };
    page.rows.iter().map(of_row).collect()
}

/// A removal that stands still leaves nothing to see in a dump, of no section.
#[tokio::test]
async fn what_is_being_removed_is_in_no_section() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let sections = [Section::Messages, Section::Pins, Section::Reactions, Section::ReactionCounts];
    let mut authors = std::collections::BTreeMap::<UserId, usize>::new();
    let mut hanging = Vec::new();
    for section in sections {
        hanging.push(messages_of(&store, section).await);
    }
    let page = store.dump(Section::Messages, None, 100_000).await.unwrap();
    let mut by_author = std::collections::HashMap::new();
    for row in &page.rows {
        let DumpRow::Write(Write::PutMessage(message)) = row else { panic!("{row:?}") };
        by_author.insert(message.id, message.author_id);
    }
    // Whoever has the most that hangs on messages, pinned ones among them.
    let pinned = by_author[&hanging[1][0]];
    for ids in &hanging {
        *authors.entry(pinned).or_default() += ids.iter().filter(|id| by_author[*id] == pinned).count();
    }
    assert!(authors[&pinned] > 4, "{authors:?}");
    // Nothing stands in the table, so that the purge does not get anywhere.
    engine.shared.doomed.apply([(Purge::User(pinned), Some(MessageId::new(u64::MAX)))].into_iter());
    for (section, before) in sections.into_iter().zip(&hanging) {
        let expected: Vec<_> = before.iter().copied().filter(|id| by_author[id] != pinned).collect();
        assert_eq!(messages_of(&store, section).await, expected, "{}", section.name());
    }
    engine.shared.doomed.apply([(Purge::User(pinned), None)].into_iter());

    let guild_id = fill::guild_id(0);
    let claims = async |store: &Store| store.dump(Section::UniqueKeys, None, 100_000).await.unwrap().rows.len();
    let before = claims(&store).await;
    engine.shared.doomed.apply([(Purge::Guild(guild_id), Some(MessageId::new(u64::MAX)))].into_iter());
    assert_eq!(claims(&store).await, before - 1, "the code of its invite");
    assert!(engine.stats().purges_pending == 1);
}
