//! One process a folder.

use rookery_core_db::{EmbeddedConfig, OpenError, Store};

use crate::common::{child, child_folder, line, open};

#[test]
fn a_second_opener_hears_that_the_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let again = Store::open_embedded(EmbeddedConfig::new(folder.path()));
    assert!(matches!(again, Err(OpenError::Locked { .. })));
    assert!(again.err().unwrap().to_string().contains(folder.path().to_str().unwrap()));

    let (mut other, mut lines) = child("lock::child_opens_a_store", folder.path());
    let mut answer = None;
    while let Some(line) = line(&mut lines) {
        answer = line.strip_prefix("opened: ").map(str::to_owned).or(answer);
    }
    other.wait().unwrap();
    let answer = answer.unwrap();
    assert!(answer.contains("another process has the store at"), "{answer}");
    drop(store);
    open(folder.path());
}

/// Not a test of its own: opens a store.
#[test]
#[ignore = "runs as the child of another test"]
fn child_opens_a_store() {
    let Some(folder) = child_folder() else { return };
    match Store::open_embedded(EmbeddedConfig::new(folder)) {
        Ok(_) => println!("opened: yes"),
        Err(error) => println!("opened: {error}"),
    }
}

#[test]
fn a_folder_of_another_layout_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    std::fs::write(folder.path().join("embedded/layout"), "7\n").unwrap();
    let error = Store::open_embedded(EmbeddedConfig::new(folder.path())).err().unwrap();
    assert!(matches!(error, OpenError::Layout { found: 7, expected: 1, .. }), "{error}");
}
