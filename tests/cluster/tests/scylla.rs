//! The production configuration in `infra/scylla` speaks of the tables that there are, each of them once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How often each table stands behind `before` in a text.
fn tables(text: &str, before: &str, after: char) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(before)) {
        let name = line.split(after).next().unwrap_or(line);
        *found.entry(name.to_owned()).or_default() += 1;
    }
    found
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All of `core-db/schema` in one text.
fn schema() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core-db/schema");
    let entries = fs::read_dir(folder).expect("core-db/schema");
    let files = entries.map(|entry| entry.expect("core-db/schema").path());
    let tables = files.filter(|file| file.extension().is_some_and(|kind| kind == "cql"));
    tables.map(|file| fs::read_to_string(file).expect("a table of core-db/schema")).collect()
}

#[test]
fn every_table_has_a_compaction_and_a_reason() {
    let schema = tables(&schema(), "CREATE TABLE IF NOT EXISTS ", ' ');
    assert!(schema.len() >= 25, "{schema:?}");
    assert_eq!(
        tables(&read("infra/scylla/compaction.cql"), "ALTER TABLE ", ' '),
        schema,
        "infra/scylla/compaction.cql"
    );
    assert_eq!(
        tables(&read("infra/scylla/README.md"), "| `", '`'),
        expected_in_readme(&schema),
        "infra/scylla/README.md"
    );
}

/// The README's first table lists files in the same form.
fn expected_in_readme(schema: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let files =
        ["scylla.yaml", "cassandra-rackdc.properties", "compaction.cql", "rookery-scylla-repair.{service,timer}"];
    schema.clone().into_iter().chain(files.map(|file| (file.to_owned(), 1))).collect()
}

#[test]
fn what_the_schema_says_of_expiry_is_not_contradicted() {
    let schema = schema();
    let compaction = read("infra/scylla/compaction.cql");
    let (_, operations) = schema.split_once("TABLE IF NOT EXISTS operations ").expect("the table operations");
    let options = operations.split(';').next().unwrap();
    let line = compaction.lines().find(|line| line.starts_with("ALTER TABLE operations ")).unwrap();
    let grace = |text: &str| {
        let (_, rest) = text.split_once("gc_grace_seconds = ")?;
        rest.split(|other: char| !other.is_ascii_digit()).next().map(str::to_owned)
    };
    assert!(
        options.contains("default_time_to_live = 900"),
        "the windows of five minutes are made for 900 s: {options}"
    );
    assert!(grace(options).is_some());
    assert_eq!(grace(options), grace(line));
}
