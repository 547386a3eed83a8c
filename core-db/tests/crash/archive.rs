//! Export and import under `kill -9`, and archives that are damaged.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rookery_core_db::archive::{
    self, ArchiveError, Event, ExportOptions, ImportOptions, Manifest, Report, StoreDigest,
};
use rookery_core_db::fill::{FillPlan, fill};
use rookery_core_db::{Store, Write};
use rookery_model::UserId;
use rookery_model::user::{Account, User};

use crate::common::{Dice, child, child_folder, copy, line, open};

/// What CI moves; `rookery bench move` moves as many as it is told.
const MESSAGES: u64 = 200_000;

fn quiet() -> Report {
    Arc::new(|_: Event| {})
}

/// Says on standard output, line by line, which segments are done.
fn telling() -> Report {
    Arc::new(|event: Event| {
        if let Event::Segment { done, .. } = event {
            println!("done {done}");
        }
    })
}

fn options() -> ExportOptions {
    ExportOptions { resume: true, segment_bytes: 1024 * 1024, ..ExportOptions::default() }
}

async fn digest_of(store: &Store) -> StoreDigest {
    let (digest, damaged) = archive::digest(store, &quiet()).await.unwrap();
    assert_eq!(damaged, []);
    digest
}

/// Runs a child on the folder until it says that so many segments are done, and kills it.
fn run_until(test: &str, folder: &Path, done: u32) {
    let (mut child, mut lines) = child(test, folder);
    let mut last = 0;
    while let Some(line) = line(&mut lines) {
        if let Some(number) = line.strip_prefix("done ") {
            last = number.parse().unwrap();
        }
        if last >= done {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(last >= done, "{test} ended by itself at segment {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_through_an_archive_with_both_ways_killed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let source = open(&folder.path().join("source"));
    fill(&source, FillPlan::new(MESSAGES)).await.unwrap();
    let wanted = digest_of(&source).await;
    source.close().await.unwrap();
    drop(source);

    run_until("archive::child_exports", folder.path(), 19);
    run_until("archive::child_exports", folder.path(), 26);
    let source = open(&folder.path().join("source"));
    let archive_folder = folder.path().join("archive");
    let early = open(&folder.path().join("early"));
    let unfinished = archive::import(&early, &archive_folder, ImportOptions::default(), quiet()).await;
    assert!(matches!(unfinished, Err(ArchiveError::Incomplete { .. })));
    let again = ExportOptions { resume: false, ..options() };
    let again = archive::export(&source, &archive_folder, again, quiet()).await;
    assert!(matches!(again, Err(ArchiveError::Unfinished { .. })));
    let manifest = archive::export(&source, &archive_folder, options(), quiet()).await.unwrap();
    assert_eq!(manifest.digest, wanted);
    assert!(manifest.segments.len() > 35, "{} segments", manifest.segments.len());

    run_until("archive::child_imports", folder.path(), 20);
    run_until("archive::child_imports", folder.path(), 30);
    let target = open(&folder.path().join("target"));
    let import = target.import_under_way().await.unwrap().unwrap();
    assert!(import.segments_done >= 30);
    let fresh = archive::import(&target, &archive_folder, ImportOptions::default(), quiet()).await;
    assert!(matches!(fresh, Err(ArchiveError::ImportUnderWay { .. })));
    archive::import(&target, &archive_folder, ImportOptions { resume: true }, quiet()).await.unwrap();
    assert_eq!(digest_of(&target).await, wanted);
    assert_eq!(target.import_under_way().await, Ok(None));
    println!("{} rows moved, both ways killed twice, digest {}", wanted.total().rows, wanted.total().digest);
}

/// Not a test of its own: what the killed process does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of another test"]
async fn child_exports() {
    let Some(folder) = child_folder() else { return };
    let source = open(&folder.join("source"));
    archive::export(&source, &folder.join("archive"), options(), telling()).await.unwrap();
}

/// Not a test of its own: what the killed process does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of another test"]
async fn child_imports() {
    let Some(folder) = child_folder() else { return };
    let target = open(&folder.join("target"));
    archive::import(&target, &folder.join("archive"), ImportOptions { resume: true }, telling()).await.unwrap();
}

/// A finished archive of a small store.
async fn small_archive(folder: &Path) -> Manifest {
    let store = open(&folder.join("source"));
    fill(&store, FillPlan::new(4_000)).await.unwrap();
    let options = ExportOptions { segment_bytes: 256 * 1024, ..options() };
    let manifest = archive::export(&store, &folder.join("archive"), options, quiet()).await.unwrap();
    store.close().await.unwrap();
    manifest
}

/// Imports a changed copy of an archive into a new store; nothing may have been written when it is refused.
async fn import_changed(archive: &Path, change: impl FnOnce(&Path)) -> ArchiveError {
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("archive");
    copy(archive, &changed);
    change(&changed);
    let target = open(&folder.path().join("target"));
    let error = archive::import(&target, &changed, ImportOptions::default(), quiet()).await.unwrap_err();
    assert_eq!(target.import_under_way().await, Ok(None));
    assert_eq!(digest_of(&target).await.total().rows, 0);
    error
}

fn flip(path: &Path, at: u64) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0x10]).unwrap();
}

/// Changes a manifest and signs it anew.
fn rewrite(archive: &Path, from: &str, to: &str) {
    let path = archive.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let manifest = &text["{\"manifest\":".len()..text.rfind(",\"checksum\"").unwrap()];
    assert!(manifest.contains(from), "no {from} in {manifest}");
    let manifest = manifest.replacen(from, to, 1);
    let checksum = xxhash_rust::xxh3::xxh3_128(manifest.as_bytes());
    fs::write(path, format!("{{\"manifest\":{manifest},\"checksum\":\"{checksum:032x}\"}}")).unwrap();
}

fn segment(manifest: &Manifest, section: &str) -> PathBuf {
    PathBuf::from(&manifest.segments.iter().find(|segment| segment.section == section).unwrap().file)
}

#[tokio::test]
async fn a_damaged_archive_is_named_and_nothing_of_it_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = small_archive(folder.path()).await;
    let archive_folder = folder.path().join("archive");
    let messages = segment(&manifest, "messages");
    let length = fs::metadata(archive_folder.join(&messages)).unwrap().len();

    let mut dice = Dice(5);
    let places = [0, 3, 8, 20, length - 1, length - 20].into_iter().chain((0..20).map(|_| dice.below(length)));
    for at in places.collect::<Vec<_>>() {
        match import_changed(&archive_folder, |changed| flip(&changed.join(&messages), at)).await {
            ArchiveError::Damaged { path, offset, .. } => {
                assert!(path.ends_with(&messages) && offset <= at, "flip at {at}: named {offset}");
            }
            other => panic!("flip at {at}: {other}"),
        }
    }
    let cut = |to: u64| {
        let messages = messages.clone();
        move |changed: &Path| {
            OpenOptions::new().write(true).open(changed.join(messages)).unwrap().set_len(to).unwrap();
        }
    };
    for to in [0, 10, length / 2, length - 1] {
        let error = import_changed(&archive_folder, cut(to)).await;
        assert!(
            matches!(&error, ArchiveError::Damaged { path, .. } if path.ends_with(&messages)),
            "cut to {to}: {error}"
        );
    }
    let error = import_changed(&archive_folder, |changed| fs::remove_file(changed.join(&messages)).unwrap()).await;
    assert!(matches!(&error, ArchiveError::MissingSegment { path } if path.ends_with(&messages)), "{error}");
    // A whole segment, but another one.
    let accounts = segment(&manifest, "accounts");
    let swap = |changed: &Path| {
        fs::copy(changed.join(&accounts), changed.join(&messages)).unwrap();
    };
    let error = import_changed(&archive_folder, swap).await;
    assert!(matches!(&error, ArchiveError::Damaged { path, .. } if path.ends_with(&messages)), "{error}");
}

#[tokio::test]
async fn a_damaged_or_foreign_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    small_archive(folder.path()).await;
    let archive_folder = folder.path().join("archive");
    let length = fs::metadata(archive_folder.join("manifest.json")).unwrap().len();
    let mut dice = Dice(6);
    for _ in 0..20 {
        let at = dice.below(length);
        let error = import_changed(&archive_folder, |changed| flip(&changed.join("manifest.json"), at)).await;
        assert!(
            matches!(&error, ArchiveError::Damaged { path, .. } if path.ends_with("manifest.json")),
            "{at}: {error}"
        );
    }
    let error =
        import_changed(&archive_folder, |changed| fs::remove_file(changed.join("manifest.json")).unwrap()).await;
    assert!(matches!(error, ArchiveError::NotAnArchive { .. }), "{error}");
    // A later version's archive: its checksum is right, its format is not ours.
    let error = import_changed(&archive_folder, |changed| rewrite(changed, "\"format\":1", "\"format\":2")).await;
    assert!(matches!(error, ArchiveError::Format { found: 2, expected: 1, .. }), "{error}");
    assert!(error.to_string().contains("format 2") && error.to_string().contains("format 1"));
}

#[tokio::test]
async fn a_source_that_was_used_meanwhile_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let source_folder = folder.path().join("source");
    let store = open(&source_folder);
    fill(&store, FillPlan::new(20_000)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    run_until("archive::child_exports", folder.path(), 14);
    let store = open(&source_folder);
    store.write(vec![Write::PutAccount(Account::new(User::new(UserId::new(5), "ada")))]).await.unwrap();
    // Whoever serves a store raises the ceiling first.
    store.raise_id_ceiling(store.id_ceiling().await.unwrap() + 1).await.unwrap();
    let again = archive::export(&store, &folder.path().join("archive"), options(), quiet()).await;
    assert!(matches!(again, Err(ArchiveError::SourceChanged { .. })));
}

#[tokio::test]
async fn an_import_of_another_archive_is_not_gone_on_with() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = small_archive(one.path()).await;
    small_archive(other.path()).await;
    let target = open(&one.path().join("target"));
    let row = rookery_core_db::ImportRow { archive_id: manifest.archive_id.clone(), segments_done: 3 };
    target.write(vec![Write::PutImport(row)]).await.unwrap();
    let resume = ImportOptions { resume: true };
    let error = archive::import(&target, &other.path().join("archive"), resume, quiet()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::OtherImport { .. }), "{error}");
    // Segments that were never written are missed: nothing is taken on trust.
    let error = archive::import(&target, &one.path().join("archive"), resume, quiet()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Mismatch { section: "accounts", .. }), "{error}");
}

/// What a later version wrote, or what is not a whole, is refused before a row of it is written.
#[tokio::test]
async fn a_manifest_that_is_no_whole_or_not_understood_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = small_archive(folder.path()).await;
    let archive_folder = folder.path().join("archive");
    let changed =
        async |from: &str, to: &str| import_changed(&archive_folder, |changed| rewrite(changed, from, to)).await;
    // Segments of a section of a later version, or its digest alone.
    for from in ["\"section\":\"pins\"", "\"pins\":{"] {
        let error = changed(from, &from.replace("pins", "stickers")).await;
        assert!(matches!(&error, ArchiveError::UnknownSection { section, .. } if section == "stickers"), "{error}");
        assert!(error.to_string().contains(&manifest.written_by), "{error}");
    }
    let error = changed("\"row_encoding\":1", "\"row_encoding\":2").await;
    assert!(matches!(error, ArchiveError::LaterRows { found: 2, expected: 1, .. }), "{error}");
    let pins = manifest.segments.iter().find(|segment| segment.section == "pins").unwrap();
    let first = &manifest.segments[0];
    for (from, to) in [
        (format!("\"rows\":{},", pins.rows.rows), format!("\"rows\":{},", pins.rows.rows + 1)),
        (first.file.clone(), "../accounts-0001.rkx".into()),
        (pins.file.clone(), "pins-0002.rkx".into()),
    ] {
        let error = changed(&from, &to).await;
        assert!(
            matches!(&error, ArchiveError::Damaged { path, .. } if path.ends_with("manifest.json")),
            "{from}: {error}"
        );
    }
}

/// The hash of a file says that it is the one that was written, not that what was written is rows.
#[tokio::test]
async fn a_check_reads_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = small_archive(folder.path()).await;
    let archive_folder = folder.path().join("archive");
    archive::check(&archive_folder, &quiet()).unwrap();
    let messages = manifest.segments.iter().find(|segment| segment.section == "messages").unwrap();
    let path = archive_folder.join(&messages.file);
    flip(&path, messages.file_bytes / 2);
    let hash = xxhash_rust::xxh3::xxh3_128(&fs::read(&path).unwrap());
    rewrite(&archive_folder, &messages.file_hash.to_string(), &format!("{hash:032x}"));
    let error = archive::check(&archive_folder, &quiet()).unwrap_err();
    assert!(matches!(&error, ArchiveError::Damaged { path, .. } if path.ends_with(&messages.file)), "{error}");
}

#[tokio::test]
async fn an_export_goes_on_with_its_own_store_only() {
    let folder = tempfile::tempdir().unwrap();
    let source_folder = folder.path().join("source");
    let store = open(&source_folder);
    fill(&store, FillPlan::new(20_000)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    run_until("archive::child_exports", folder.path(), 14);
    // The same rows and the same ceiling, and yet another store.
    let other = open(&folder.path().join("other"));
    fill(&other, FillPlan::new(20_000)).await.unwrap();
    let archive_folder = folder.path().join("archive");
    let error = archive::export(&other, &archive_folder, options(), quiet()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::OtherSource { .. }), "{error}");
    let store = open(&source_folder);
    rewrite(&archive_folder, "\"row_encoding\":1", "\"row_encoding\":7");
    let error = archive::export(&store, &archive_folder, options(), quiet()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::RowEncoding { found: 7, .. }), "{error}");
    rewrite(&archive_folder, "\"row_encoding\":7", "\"row_encoding\":1");
    // A copy of the folder is the same store; what the progress counts is all rows, with those of earlier runs.
    let rows = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = rows.clone();
    let report: Report = Arc::new(move |event: Event| {
        if let Event::Rows { rows, .. } = event {
            seen.lock().unwrap().push(rows);
        }
    });
    let before = Manifest::read(&archive_folder).unwrap().digest.total().rows;
    let manifest = archive::export(&store, &archive_folder, options(), report).await.unwrap();
    let rows = rows.lock().unwrap();
    assert!(before > 0 && rows.first() == Some(&before), "{before} rows before, then {:?}", rows.first());
    assert_eq!(rows.last(), Some(&manifest.digest.total().rows));
}
