//! What copies of a store are made by.

use rookery_model::store::ImportRow;

use super::Store;
use crate::StoreError;
use crate::dump::{DamagedRow, DumpCursor, DumpPage, Section};
use crate::engine::LeaseRow;

impl Store {
    /// The import that was begun into this store and not finished; until then it holds a part of an archive only.
    pub async fn import_under_way(&self) -> Result<Option<ImportRow>, StoreError> {
        self.engine.import_under_way().await
    }

    /// Rows of a section behind a cursor, about `limit` of them, in the engine's own order.
    ///
    /// What is being removed is left out. Damaged rows are named instead of served; the caller decides whether to go on.
    pub async fn dump(
        &self,
        section: Section,
        after: Option<DumpCursor>,
        limit: usize,
    ) -> Result<DumpPage, StoreError> {
        self.engine.dump(section, after, limit).await
    }

    /// About how many rows a dump has, for progress; 0 when the engine cannot tell.
    pub async fn dump_estimate(&self) -> Result<u64, StoreError> {
        self.engine.dump_estimate().await
    }

    /// Damaged rows of tables that no section shows: what is deleted, who may do what until when.
    pub async fn damaged_beside(&self) -> Result<Vec<DamagedRow>, StoreError> {
        self.engine.damaged_beside().await
    }

    /// What each node that uses the store has used so far; what this process itself does to its row does not show.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>, StoreError> {
        self.engine.leases().await
    }

    /// What tells this store from others; the same at every start.
    pub fn identity(&self) -> String {
        self.engine.identity()
    }
}
