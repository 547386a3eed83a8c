//! Histories with one thing wrong in each, and their neighbours with nothing wrong.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

use rookery_model::store::UniqueKey;
use rookery_model::{ChannelId, MessageId};
use rookery_test_history::{Client, History, ViolationKind, Window};

const CHANNEL: ChannelId = ChannelId::new(5);
const WRITER: Client = Client(1);
const READER: Client = Client(2);

fn id(n: u64) -> MessageId {
    MessageId::new(n)
}

fn page(history: &History, client: Client, ids: &[u64]) {
    page_of(history, client, Window::Latest, 50, ids);
}

fn page_of(history: &History, client: Client, window: Window, limit: usize, ids: &[u64]) {
    let read = history.read(client, CHANNEL, window, limit);
    read.page(ids.iter().map(|n| (id(*n), format!("text {n}"))));
}

fn put(history: &History, n: u64) -> rookery_test_history::PendingWrite {
    history.put(WRITER, CHANNEL, id(n), format!("text {n}"))
}

fn kinds(history: &History) -> Vec<ViolationKind> {
    match history.check() {
        Ok(_) => Vec::new(),
        Err(report) => report.violations.iter().map(|violation| violation.kind).collect(),
    }
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    let history = History::new();
    put(&history, 1).ok();
    put(&history, 2).ok();
    page(&history, READER, &[2]);
    assert_eq!(kinds(&history), [ViolationKind::LostWrite]);
    let report = history.check().unwrap_err().to_string();
    for part in ["acknowledged write lost: channel 5, message 1", "puts message 1 as \"text 1\": Ok", "not among them"]
    {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn a_write_that_is_not_acknowledged_may_show_or_not() {
    for (shown, outcome) in
        [(true, "pending"), (false, "pending"), (true, "unknown"), (false, "unknown"), (false, "failed")]
    {
        let history = History::new();
        let write = put(&history, 1);
        let write = match outcome {
            "unknown" => {
                write.unknown();
                None
            }
            "failed" => {
                write.failed();
                None
            }
            _ => Some(write),
        };
        page(&history, READER, if shown { &[1] } else { &[] });
        write.into_iter().for_each(|write| write.ok());
        assert_eq!(kinds(&history), [], "{shown} {outcome}");
    }
}

#[test]
fn a_failed_write_that_shows_is_found() {
    let history = History::new();
    put(&history, 1).failed();
    page(&history, READER, &[1]);
    assert_eq!(kinds(&history), [ViolationKind::FailedWriteVisible]);
}

#[test]
fn a_stale_read_after_an_own_write_is_found() {
    let history = History::new();
    put(&history, 1).ok();
    history.put(WRITER, CHANNEL, id(1), "edited").ok();
    page(&history, WRITER, &[1]);
    assert_eq!(kinds(&history), [ViolationKind::StaleAfterOwnWrite]);
    let others = History::new();
    put(&others, 1).ok();
    others.put(WRITER, CHANNEL, id(1), "edited").ok();
    page(&others, READER, &[1]);
    assert_eq!(kinds(&others), [ViolationKind::StaleRead]);
}

#[test]
fn a_resurrected_message_is_found() {
    let history = History::new();
    put(&history, 1).ok();
    let delete = history.delete(READER, CHANNEL, id(1));
    // Not acknowledged yet: either is right.
    page(&history, READER, &[1]);
    page(&history, READER, &[]);
    delete.ok();
    page(&history, READER, &[]);
    assert_eq!(kinds(&history), []);
    page(&history, READER, &[1]);
    assert_eq!(kinds(&history), [ViolationKind::ResurrectedDelete]);
}

#[test]
fn a_put_of_unknown_outcome_does_not_outlive_a_later_delete() {
    let history = History::new();
    put(&history, 1).unknown();
    page(&history, READER, &[1]);
    history.delete(WRITER, CHANNEL, id(1)).ok();
    assert_eq!(kinds(&history), []);
    page(&history, READER, &[1]);
    assert_eq!(kinds(&history), [ViolationKind::ResurrectedDelete]);
}

#[test]
fn pipelined_writes_of_one_client_keep_their_order() {
    let history = History::new();
    let (first, second) = (put(&history, 1), history.put(WRITER, CHANNEL, id(1), "second"));
    second.ok();
    first.ok();
    page(&history, READER, &[1]);
    assert_eq!(kinds(&history), [ViolationKind::StaleRead]);
    // Those of two clients may have been applied either way.
    let history = History::new();
    let (first, second) = (put(&history, 1), history.put(READER, CHANNEL, id(1), "second"));
    second.ok();
    first.ok();
    page(&history, READER, &[1]);
    assert_eq!(kinds(&history), []);
}

#[test]
fn a_reordered_page_is_found() {
    for ids in [&[1, 2][..], &[2, 2, 1]] {
        let history = History::new();
        put(&history, 1).ok();
        put(&history, 2).ok();
        page(&history, READER, ids);
        assert_eq!(kinds(&history), [ViolationKind::OutOfOrder], "{ids:?}");
    }
}

#[test]
fn a_page_is_held_to_its_window() {
    let history = History::new();
    (1..=9).for_each(|n| put(&history, n).ok());
    page_of(&history, READER, Window::Latest, 3, &[9, 8, 7]);
    page_of(&history, READER, Window::Before(id(4)), 2, &[3, 2]);
    page_of(&history, READER, Window::Before(id(4)), 9, &[3, 2, 1]);
    page_of(&history, READER, Window::After(id(4)), 2, &[6, 5]);
    page_of(&history, READER, Window::After(id(7)), 5, &[9, 8]);
    page_of(&history, READER, Window::After(id(9)), 5, &[]);
    page_of(&history, READER, Window::One(id(3)), 1, &[3]);
    page_of(&history, READER, Window::Before(id(0)), 5, &[]);
    page_of(&history, READER, Window::Latest, 0, &[]);
    assert_eq!(kinds(&history), []);
    let wrong: [(Window, usize, &[u64], ViolationKind); 7] = [
        (Window::Latest, 2, &[9, 8, 7], ViolationKind::OutsideWindow),
        (Window::Before(id(4)), 2, &[4, 3], ViolationKind::OutsideWindow),
        (Window::After(id(4)), 2, &[5, 4], ViolationKind::OutsideWindow),
        (Window::Latest, 3, &[9, 7, 6], ViolationKind::LostWrite),
        (Window::Before(id(4)), 9, &[3, 2], ViolationKind::LostWrite),
        (Window::After(id(4)), 2, &[7, 6], ViolationKind::LostWrite),
        (Window::One(id(3)), 1, &[], ViolationKind::LostWrite),
    ];
    for (window, limit, ids, kind) in wrong {
        let history = History::new();
        (1..=9).for_each(|n| put(&history, n).ok());
        page_of(&history, READER, window, limit, ids);
        assert!(
            kinds(&history).iter().all(|found| *found == kind) && !kinds(&history).is_empty(),
            "{window:?} {ids:?}"
        );
    }
}

#[test]
fn what_nobody_wrote_is_found() {
    let history = History::new();
    put(&history, 1).ok();
    page(&history, READER, &[3, 1]);
    assert_eq!(kinds(&history), [ViolationKind::Fabricated]);
    // Not before it was written, either.
    let history = History::new();
    page(&history, READER, &[1]);
    put(&history, 1).ok();
    assert_eq!(kinds(&history), [ViolationKind::Fabricated]);
}

#[test]
fn a_second_winner_is_found() {
    let key = || UniqueKey::Username("ada".into());
    let history = History::new();
    history.claim(Client(1), key(), 1).unknown();
    history.claim(Client(2), key(), 2).lost(1);
    history.claim(Client(1), key(), 1).won();
    history.claim(Client(3), UniqueKey::Username("bea".into()), 3).won();
    history.claim(Client(4), key(), 4).failed();
    assert_eq!(kinds(&history), []);
    history.claim(Client(3), key(), 3).won();
    assert_eq!(kinds(&history), [ViolationKind::SeveralHolders]);
}

#[test]
fn losers_are_told_one_possible_holder() {
    let key = || UniqueKey::Email("a@example.com".into());
    let history = History::new();
    history.claim(Client(1), key(), 1).unknown();
    history.claim(Client(2), key(), 2).unknown();
    history.claim(Client(3), key(), 3).lost(1);
    history.claim(Client(3), key(), 3).lost(2);
    assert_eq!(kinds(&history), [ViolationKind::SeveralHolders]);
    for holder in [3, 4, 5] {
        let history = History::new();
        history.claim(Client(4), key(), 4).failed();
        history.claim(Client(3), key(), 3).lost(holder);
        history.claim(Client(5), key(), 5).unknown();
        assert_eq!(kinds(&history), [ViolationKind::ImpossibleHolder], "{holder}");
    }
}

#[test]
fn a_post_is_the_message_that_its_answer_names() {
    let history = History::new();
    let post = history.post(WRITER, CHANNEL, "text 7");
    // Durable before it is answered: it may show.
    page(&history, READER, &[7]);
    post.ok(id(7));
    page(&history, READER, &[7]);
    assert_eq!(kinds(&history), []);
    page(&history, READER, &[]);
    assert_eq!(kinds(&history), [ViolationKind::LostWrite]);
}

#[test]
fn a_post_without_an_answer_is_the_message_that_shows_its_text() {
    for outcome in ["pending", "unknown"] {
        let history = History::new();
        let post = history.post(WRITER, CHANNEL, "text 7");
        let pending = if outcome == "unknown" {
            post.unknown();
            None
        } else {
            Some(post)
        };
        page(&history, READER, &[]);
        page(&history, READER, &[7]);
        drop(pending);
        assert_eq!(kinds(&history), [], "{outcome}");
        // Done twice, it is a message that nobody wrote.
        let read = history.read(READER, CHANNEL, Window::Latest, 50);
        read.page([(id(8), "text 7"), (id(7), "text 7")]);
        assert_eq!(kinds(&history), [ViolationKind::Fabricated], "{outcome}");
    }
    let history = History::new();
    history.post(WRITER, CHANNEL, "text 7").failed();
    page(&history, READER, &[]);
    assert_eq!(kinds(&history), []);
    page(&history, READER, &[7]);
    assert_eq!(kinds(&history), [ViolationKind::FailedWriteVisible]);
}

#[test]
fn what_may_be_lost_is_exactly_what_was_named() {
    let history = History::new();
    for n in [7, 8] {
        history.post(WRITER, CHANNEL, format!("text {n}")).ok(id(n));
    }
    page(&history, READER, &[]);
    assert_eq!(kinds(&history), [ViolationKind::LostWrite, ViolationKind::LostWrite]);
    history.may_be_lost(&[id(8)].into());
    assert_eq!(kinds(&history), [ViolationKind::LostWrite]);
    // It may come back as well.
    let history = History::new();
    history.post(WRITER, CHANNEL, "text 8").ok(id(8));
    history.may_be_lost(&[id(8)].into());
    page(&history, READER, &[]);
    page(&history, READER, &[8]);
    assert_eq!(kinds(&history), []);
}
