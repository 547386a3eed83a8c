//! What the cluster should hold, and whether it does.

use std::path::Path;
use std::sync::Arc;

use rookery_core_db::archive::{SectionDigest, StoreDigest, digest};
use rookery_core_db::{EmbeddedConfig, Store};
use rookery_model::ChannelId;
use rookery_test_history::{Client, History, Report, Summary, Window};

use crate::ledger::Ledger;
use crate::reader::page;

/// Batches that an embedded store is given at once.
const REPLAYED_TOGETHER: usize = 1_000;
/// More than a channel of a scenario holds.
const ALL: usize = 10_000_000;
/// Those who read everything in the end.
const FIRST_OBSERVER: u64 = 1_000_000;

/// A load that is over.
pub struct Verdict {
    history: History,
    ledger: Arc<Ledger>,
    channels: Vec<ChannelId>,
}

impl Verdict {
    pub(crate) fn new(history: History, ledger: Arc<Ledger>, channels: Vec<ChannelId>) -> Self {
        Self { history, ledger, channels }
    }

    /// What was acknowledged.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Reads all of all channels, for the history to judge.
    pub async fn read_all(&self, store: &Store) {
        for channel_id in &self.channels {
            let read = self.history.read(Client(FIRST_OBSERVER), *channel_id, Window::Latest, ALL);
            read.page(page(store, *channel_id, Window::Latest, ALL).await.unwrap());
        }
    }

    /// What the history checker says.
    pub fn history(&self) -> Result<Summary, Report> {
        self.history.check()
    }

    /// Fails unless the history is one that a right store could have.
    pub fn must_be_right(&self) -> Summary {
        self.history().unwrap_or_else(|report| panic!("{report}"))
    }

    /// The digest of a store that did all that was acknowledged and nothing else.
    pub async fn expected(&self, folder: &Path) -> StoreDigest {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let store = Store::open_embedded(EmbeddedConfig::new(folder.path())).unwrap();
        let (batches, claims) = self.ledger.acknowledged();
        for together in batches.chunks(REPLAYED_TOGETHER) {
            store.write(together.concat()).await.unwrap();
        }
        for (key, holder) in claims {
            store.claim(key, holder).await.unwrap().unwrap();
        }
        let expected = digest_of(&store).await;
        store.close().await.unwrap();
        expected
    }
}

/// The digest of a store without damage.
pub async fn digest_of(store: &Store) -> StoreDigest {
    let (digest, damaged) = digest(store, &(Arc::new(|_| {}) as _)).await.unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    digest
}

/// In which sections two stores differ, and how many rows each has there.
pub fn differences(expected: &StoreDigest, found: &StoreDigest) -> Vec<String> {
    let names = expected.sections.keys().chain(found.sections.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    let of = |digest: &StoreDigest, name: &String| digest.sections.get(name).copied().unwrap_or_default();
    let differs = |name: &&String| of(expected, name) != of(found, name);
    let words = |name: &String| {
        let (SectionDigest { rows: wanted, .. }, SectionDigest { rows, .. }) = (of(expected, name), of(found, name));
        format!("{name}: {rows} rows, expected {wanted}")
    };
    names.into_iter().filter(differs).map(words).collect()
}
