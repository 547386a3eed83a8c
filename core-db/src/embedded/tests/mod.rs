//! Damage inside the engine's own files, which only this module can make.

mod files;
mod removals;
mod rows;
mod salvage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_model::message::MessageRow;
use rookery_model::store::Write;
use rookery_model::{ChannelId, MessageId};

use super::EmbeddedEngine;
use crate::dump::{DumpRow, Section};
use crate::key::Key;
use crate::tables::Table;
use crate::{EmbeddedConfig, Store};

/// How long the background may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

type Rows = BTreeMap<(ChannelId, MessageId), MessageRow>;

fn open(folder: &Path) -> (Arc<EmbeddedEngine>, Store) {
    let engine = Arc::new(EmbeddedEngine::open(EmbeddedConfig::new(folder)).unwrap());
    (engine.clone(), Store::new(engine))
}

/// Puts bytes where a row is, or where none should be.
fn plant(engine: &EmbeddedEngine, table: Table, key: impl Into<Vec<u8>>, row: &[u8]) {
    let slot = engine.shared.db.read();
    slot.as_ref().unwrap().tree(table).insert(key.into(), row).unwrap();
}

/// The key of a row: ids behind the table's tag.
fn key(table: Table, ids: &[u64]) -> Vec<u8> {
    ids.iter().fold(Key::of(table), |key, id| key.id(*id)).as_bytes().to_vec()
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn dumped(store: &Store) -> (Rows, usize) {
    let (mut rows, mut damaged, mut cursor) = (Rows::new(), 0, None);
    loop {
        let page = store.dump(Section::Messages, cursor, 100).await.unwrap();
        for row in page.rows {
            let DumpRow::Write(Write::PutMessage(message)) = row else { panic!("{row:?}") };
            rows.insert((message.channel_id, message.id), message);
        }
        damaged += page.damaged.len();
        assert!(page.damaged.iter().all(|row| row.table == "messages" && !row.key.is_empty()));
        cursor = page.next;
        if cursor.is_none() {
            return (rows, damaged);
        }
    }
}
