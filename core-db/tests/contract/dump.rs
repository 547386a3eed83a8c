//! Dumps, and archives made of them.

use std::sync::Arc;

use rookery_core_db::archive::{self, ArchiveError, Event, ExportOptions, ImportOptions, Report, StoreDigest};
use rookery_core_db::dump::{DumpRow, Section};
use rookery_core_db::fill::{self, FillPlan, fill};
use rookery_core_db::{MessageRange, RetentionRow, Store, UniqueKey, Write};
use rookery_model::UserId;

use crate::Factory;
use crate::sample::{account, id_at, message, text_channel};

/// The digest of the sample of 3,000 messages.
const SAMPLE_DIGEST: &str = "34cb2c537c9ebf2134ca5caf8f93500f";

fn quiet() -> Report {
    Arc::new(|_: Event| {})
}

/// Small segments, so that there are many.
fn options() -> ExportOptions {
    ExportOptions { segment_bytes: 64 * 1024, ..ExportOptions::default() }
}

async fn digest(store: &Store) -> StoreDigest {
    let (digest, damaged) = archive::digest(store, &quiet()).await.unwrap();
    assert_eq!(damaged, []);
    digest
}

/// All rows of a section, in pages of a few.
async fn rows(store: &Store, section: Section) -> Vec<DumpRow> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.dump(section, cursor, 7).await.unwrap();
        assert_eq!(page.damaged, []);
        rows.extend(page.rows);
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

pub async fn every_section_of_a_dump_has_its_rows_once(factory: impl Factory) {
    let store = factory.open().await;
    let plan = FillPlan::new(3_000);
    fill(&store, plan).await.unwrap();
    let digest = digest(&store).await;
    for section in Section::ALL {
        let rows = rows(&store, section).await;
        assert!(!rows.is_empty(), "{}: the sample must have some", section.name());
        assert_eq!(rows.len() as u64, digest.of(section).rows, "{}", section.name());
        let mut texts: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), rows.len(), "{}", section.name());
    }
    // Of every engine and every version; if it changes although the sample did not, raise `ROW_ENCODING`.
    assert_eq!(digest.total().digest.to_string(), SAMPLE_DIGEST);
    // Messages of DMs beside those of guilds.
    assert_eq!(digest.of(Section::Messages).rows, 3_000 + 26);
}

pub async fn a_dump_shows_what_was_written_and_not_what_was_deleted(factory: impl Factory) {
    let store = factory.open().await;
    let (gone, kept) = (message(5, id_at(1, 0), "gone"), message(6, id_at(2, 0), "kept"));
    let owner = account(1, "ada");
    store.claim(UniqueKey::Email("ada@example.com".into()), 1).await.unwrap().unwrap();
    store
        .write(vec![
            Write::PutAccount(owner.clone()),
            Write::PutChannel(text_channel(1, 5)),
            Write::PutChannel(text_channel(1, 6)),
            Write::PutMessage(gone),
            Write::PutMessage(kept.clone()),
        ])
        .await
        .unwrap();
    let guild_id = Some(rookery_model::GuildId::new(1));
    store.write(vec![Write::DeleteChannel { guild_id, channel_id: rookery_model::ChannelId::new(5) }]).await.unwrap();
    let write = |write| vec![DumpRow::Write(write)];
    assert_eq!(rows(&store, Section::Messages).await, write(Write::PutMessage(kept)));
    assert_eq!(rows(&store, Section::Accounts).await, write(Write::PutAccount(owner)));
    assert_eq!(rows(&store, Section::Channels).await, write(Write::PutChannel(text_channel(1, 6))));
    let claim = DumpRow::Claim { key: UniqueKey::Email("ada@example.com".into()), owner: 1 };
    assert_eq!(rows(&store, Section::UniqueKeys).await, vec![claim]);
}

pub async fn an_archive_makes_an_equal_store(factory: impl Factory) {
    let source = factory.open().await;
    fill(&source, FillPlan::new(5_000)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifest = archive::export(&source, folder.path(), options(), quiet()).await.unwrap();
    let wanted = digest(&source).await;
    assert!(manifest.complete && manifest.segments.len() > Section::ALL.len() + 5, "{}", manifest.segments.len());
    assert_eq!(manifest.digest, wanted);
    archive::check(folder.path(), &quiet()).unwrap();

    let other = factory.another().await;
    let target = other.open().await;
    archive::import(&target, folder.path(), ImportOptions::default(), quiet()).await.unwrap();
    assert_eq!(digest(&target).await, wanted);
    assert_eq!(target.import_under_way().await, Ok(None));
    assert_eq!(target.id_ceiling().await, source.id_ceiling().await);
    // The tables that are not in the archive were made by the writes.
    for user in [fill::user_id(0), fill::user_id(3)] {
        let of = |store: Store| async move { store.messages_of_author(user, None, 10_000).await.unwrap() };
        assert_eq!(of(target.clone()).await, of(source.clone()).await);
        assert_eq!(target.guilds_of_user(user).await, source.guilds_of_user(user).await);
        assert_eq!(target.dms_of_user(user).await, source.dms_of_user(user).await);
    }
    let channel = fill::channel_id(0, 1);
    let page = |store: Store| async move { store.messages(channel, MessageRange::Latest, 500).await.unwrap() };
    assert_eq!(page(target.clone()).await, page(source.clone()).await);
    assert_eq!(target.channel(channel).await, source.channel(channel).await);
    assert_eq!(target.guild_invites(fill::guild_id(1)).await, source.guild_invites(fill::guild_id(1)).await);
    assert_eq!(target.account_by_email("user3@example.com").await.unwrap().unwrap().user.id, fill::user_id(3));
    assert_eq!(target.applications_of(fill::user_id(0)).await.unwrap().len(), 1);
    let retention = RetentionRow { guild_id: fill::guild_id(0), max_age_days: 36_500 };
    assert_eq!(target.retention(fill::guild_id(0)).await, Ok(Some(retention)));
    // A row that differs is seen.
    target.write(vec![Write::PutMessage(message(5, id_at(1, 0), "one more"))]).await.unwrap();
    assert_ne!(digest(&target).await, wanted);
}

pub async fn a_store_with_anything_in_it_takes_no_import(factory: impl Factory) {
    let source = factory.open().await;
    source.write(vec![Write::PutAccount(account(1, "ada"))]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    archive::export(&source, folder.path(), options(), quiet()).await.unwrap();
    let import = |options| archive::import(&source, folder.path(), options, quiet());
    assert!(matches!(import(ImportOptions::default()).await, Err(ArchiveError::NotEmpty { section: "accounts" })));
    // Not to be gone on with either: nothing was begun.
    assert!(matches!(import(ImportOptions { resume: true }).await, Err(ArchiveError::NotEmpty { .. })));
    assert_eq!(source.account(UserId::new(1)).await, Ok(Some(account(1, "ada"))));
    // An archive is not written over.
    let again = archive::export(&source, folder.path(), options(), quiet()).await;
    assert!(matches!(again, Err(ArchiveError::Finished { .. })));
}

/// A cluster lets everybody in: a copy is of one moment only if nobody else writes until it is made.
pub async fn a_store_that_another_node_uses_is_not_copied_as_of_one_moment(factory: crate::cluster::Cql) {
    let store = factory.open().await;
    store.write(vec![Write::PutAccount(account(1, "ada"))]).await.unwrap();
    let other = factory.open_as(7).await;
    other.raise_id_ceiling(5_000_000_000_000).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let export = async |name: &str, exclusive: bool| {
        let options = ExportOptions { exclusive, ..options() };
        archive::export(&store, &folder.path().join(name), options, quiet()).await
    };
    let refused = export("refused", true).await;
    assert!(matches!(refused, Err(ArchiveError::StoreInUse { node_id: 7 })), "{refused:?}");
    // Asked for, it is made and says what it is; ids lie above those of every node.
    let live = export("live", false).await.unwrap();
    assert_eq!((live.live, live.id_ceiling_ms, live.digest.total().rows), (true, 5_000_000_000_000, 1));
    other.close().await.unwrap();
    let whole = export("whole", true).await.unwrap();
    assert_eq!((whole.live, whole.id_ceiling_ms, whole.complete), (false, 5_000_000_000_000, true));

    // Somebody who took this process's own id over is seen as well.
    let twin = factory.open().await;
    let refused = export("twin", true).await;
    assert!(matches!(refused, Err(ArchiveError::StoreInUse { node_id: 0 })), "{refused:?}");
    twin.close().await.unwrap();
}
