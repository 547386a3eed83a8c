//! What is to be removed, as it stands in `purges`: read again and again, because other processes note and strike off too.
//!
//! In a task of its own: however long a removal takes, what others deleted meanwhile is hidden here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rookery_model::MessageId;
use tokio::sync::watch;

use super::POLL;
use super::everywhere::{Everywhere, Reader};
use crate::StoreError;
use crate::cql::clock::now_us;
use crate::cql::shared::Shared;
use crate::cql::tables::purges::{Job, Noted, Place, period_of};
use crate::doomed::Pending;

/// How often all places are walked, not only those of the present.
const WALK_INTERVAL: Duration = Duration::from_secs(60);
/// The pause after a read that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The jobs that are noted.
pub struct Board {
    /// The period about which places are read each time; as of the last walk, so that none falls between the two.
    present: i32,
    walked: Instant,
    /// Jobs by place.
    noted: HashMap<Place, Vec<Noted>>,
}

/// Reads the board until it is dropped, and tells of changes.
pub async fn keep(shared: &Shared, jobs: &watch::Sender<Vec<Noted>>) {
    let mut board = None;
    loop {
        let pause = match refresh(shared, &mut board).await {
            Ok(noted) => {
                jobs.send_if_modified(|known| {
                    let is_news = *known != noted;
                    *known = noted;
                    is_news
                });
                POLL
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read what is to be removed; trying again");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.wake.notified() => {}
        }
    }
}

async fn refresh(shared: &Shared, board: &mut Option<Board>) -> Result<Vec<Noted>, StoreError> {
    match board {
        Some(board) if board.walked.elapsed() < WALK_INTERVAL => board.read_present(shared).await?,
        _ => {
            let walked = Board::read(shared).await?;
            if let Some(former) = board.replace(walked)
                && let Some(board) = board
            {
                board.sweep(shared, &former).await;
            }
        }
    }
    Ok(board.as_ref().map(Board::jobs).unwrap_or_default())
}

impl Board {
    /// Walks over all places.
    pub async fn read(shared: &Shared) -> Result<Self, StoreError> {
        let present = period_of(now_us());
        let before = shared.doomed.pending();
        let mut board = Self { present, walked: Instant::now(), noted: HashMap::new() };
        let mut places = Place::around(present);
        places.extend(shared.tables.purges.places(&shared.calls).await?);
        places.sort_unstable();
        places.dedup();
        board.fetch(shared, places).await?;
        board.hide(shared, &before);
        Ok(board)
    }

    /// Reads the places where jobs may be noted now.
    async fn read_present(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let before = shared.doomed.pending();
        self.fetch(shared, Place::around(self.present)).await?;
        self.hide(shared, &before);
        Ok(())
    }

    async fn fetch(&mut self, shared: &Shared, places: Vec<Place>) -> Result<(), StoreError> {
        let reader = &Reader::here(&shared.calls);
        let reads = places.into_iter().map(async |place| {
            let noted = shared.tables.purges.at_place(reader, place).await?;
            Ok::<_, StoreError>((place, noted))
        });
        self.noted.extend(futures_util::future::try_join_all(reads).await?);
        Ok(())
    }

    /// Hides what is noted from readers, and no longer what others struck off since a moment before the reading.
    fn hide(&self, shared: &Shared, before: &Pending) {
        let mut read = Pending::new();
        for noted in self.noted.values().flatten() {
            if let Job::Contents(purge, through) = noted.job {
                let stored = read.entry(purge).or_insert(MessageId::new(0));
                *stored = (*stored).max(through);
            }
        }
        // Another process may have begun some: their messages were seen here until now.
        if shared.doomed.replace(before, &read) {
            shared.removed();
        }
    }

    /// What is noted, places in order.
    pub fn jobs(&self) -> Vec<Noted> {
        let mut jobs: Vec<Noted> = self.noted.values().flatten().copied().collect();
        jobs.sort_by_key(|noted| noted.place);
        jobs
    }

    /// Removes places that are past and hold nothing any more, so that what was done does not pile up as tombstones.
    async fn sweep(&self, shared: &Shared, former: &Self) {
        for place in former.noted.keys().filter(|place| !self.noted.contains_key(place)) {
            if let Err(error) = sweep_one(shared, *place).await {
                tracing::debug!(?place, %error, "cannot remove a past place of what was to be removed");
            }
        }
    }
}

async fn sweep_one(shared: &Shared, place: Place) -> Result<(), StoreError> {
    let everywhere = Everywhere::of(shared);
    let at = shared.clock.take(1);
    for reader in everywhere.readers() {
        if !shared.tables.purges.at_place(reader, place).await?.is_empty() {
            return Ok(());
        }
    }
    everywhere.write(vec![shared.tables.purges.delete_place(place, at)]).await
}
