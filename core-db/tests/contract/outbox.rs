//! The outbox: order, places, what is done.

use rookery_core_db::{Store, Write};
use rookery_model::Timestamp;
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};

use crate::Factory;
use crate::lifecycle::restart;

const MINUTE_US: i64 = 60_000_000;
/// Any moment; half an hour after an hour began.
const BEGIN_US: i64 = 1_750_000_000_000_000 / (60 * MINUTE_US) * (60 * MINUTE_US) + 30 * MINUTE_US;

fn place(at_us: i64, id: u64) -> OutboxPlace {
    OutboxPlace { queued_at: Timestamp(BEGIN_US + at_us), id }
}

fn row(queue: OutboxQueue, place: OutboxPlace) -> OutboxRow {
    OutboxRow { queue, place, work: place.id.to_be_bytes().to_vec() }
}

async fn put(store: &Store, rows: impl IntoIterator<Item = OutboxRow>) {
    store.write(rows.into_iter().map(Write::PutOutbox).collect()).await.unwrap();
}

async fn done(store: &Store, rows: &[OutboxRow]) {
    let delete = |row: &OutboxRow| Write::DeleteOutbox { queue: row.queue, place: row.place };
    store.write(rows.iter().map(delete).collect()).await.unwrap();
}

pub async fn work_is_read_oldest_first_until_it_is_done(factory: impl Factory) {
    let store = factory.open().await;
    // Within a minute, over minutes, over hours; some at the same moment.
    let minutes = [0, 1, 2, 29, 31, 300];
    let rows: Vec<OutboxRow> = minutes
        .iter()
        .flat_map(|minute| (0..20).map(move |n| place(minute * MINUTE_US + n / 2, n as u64 + 1)))
        .map(|place| row(OutboxQueue::Search, place))
        .collect();
    put(&store, rows.iter().rev().cloned()).await;
    put(&store, [row(OutboxQueue::Push, place(5, 1))]).await;

    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.outbox(OutboxQueue::Search, after, 7).await.unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        after = Some(last.place);
        seen.extend(page);
    }
    assert_eq!(seen, rows);
    assert_eq!(store.outbox(OutboxQueue::Push, None, 10).await, Ok(vec![row(OutboxQueue::Push, place(5, 1))]));
    assert_eq!(store.outbox(OutboxQueue::Files, None, 10).await, Ok(vec![]));
    assert_eq!(store.outbox(OutboxQueue::Search, None, 0).await, Ok(vec![]));

    // What is done is gone, in whatever order; the rest is there after a restart.
    done(&store, &rows[..45]).await;
    done(&store, &rows[60..61]).await;
    let store = restart(&factory, store).await;
    let left: Vec<OutboxRow> = rows[45..60].iter().chain(&rows[61..]).cloned().collect();
    assert_eq!(store.outbox(OutboxQueue::Search, None, 1_000).await, Ok(left));
    done(&store, &rows).await;
    assert_eq!(store.outbox(OutboxQueue::Search, None, 1_000).await, Ok(vec![]));
    assert_eq!(store.outbox(OutboxQueue::Push, None, 10).await.unwrap().len(), 1);
}

pub async fn late_work_is_found_from_the_beginning(factory: impl Factory) {
    let store = factory.open().await;
    let late = row(OutboxQueue::Push, place(-500 * MINUTE_US, 9));
    let early = row(OutboxQueue::Push, place(0, 1));
    put(&store, [early.clone()]).await;
    assert_eq!(store.outbox(OutboxQueue::Push, None, 10).await, Ok(vec![early.clone()]));
    done(&store, std::slice::from_ref(&early)).await;
    // An empty hour was looked through meanwhile; what comes into an old one is found all the same.
    assert_eq!(store.outbox(OutboxQueue::Push, None, 10).await, Ok(vec![]));
    put(&store, [late.clone(), early.clone()]).await;
    assert_eq!(store.outbox(OutboxQueue::Push, Some(late.place), 10).await, Ok(vec![early.clone()]));
    assert_eq!(store.outbox(OutboxQueue::Push, None, 10).await, Ok(vec![late, early.clone()]));
    // Put again, as after an unknown outcome, it is there once.
    put(&store, [early.clone()]).await;
    assert_eq!(store.outbox(OutboxQueue::Push, None, 10).await.unwrap().len(), 2);
}
