//! Records with one thing wrong in each, and their neighbours with nothing wrong.

use rookery_test_history::History;
use rookery_tests::Person;

use super::*;
use crate::deployment::{NodeLayout, PopLayout, RegionLayout};
use crate::journal::{Back, Cause, Outage};
use crate::scene::{Kind, Member, Room};

const GUILD: u64 = 10;
const OPEN: u64 = 11;
const HIDDEN: u64 = 12;

/// Moments in their order.
struct Clock(Instant);

impl Clock {
    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}

fn layout() -> Layout {
    let region = |name: &str| RegionLayout {
        name: name.into(),
        nodes: vec![NodeLayout { name: name.into(), gateway: String::new(), operator: String::new() }],
        pops: vec![PopLayout { name: name.into(), api: String::new(), operator: String::new() }],
        admin_token_file: "none".into(),
    };
    Layout { regions: vec![region("eu"), region("us")] }
}

/// Two members of one guild, of whom only the first may see the hidden channel; three messages in the open channel,
/// said at 100, 200 and 300 ms, and one in the hidden one at 400; all were heard and stored.
fn record(clock: &Clock) -> Record {
    let member = |id: &str, at, is_insider| Member {
        person: Person::new("", id, ""),
        kind: Kind::Person,
        home: at,
        at,
        room: 0,
        is_insider,
    };
    let room = Room { guild_id: GUILD, home: 0, open: OPEN, hidden: HIDDEN, members: vec![0, 1] };
    let scene = Scene { members: vec![member("1", 0, true), member("2", 1, false)], rooms: vec![room] };
    let post = |id: u64, channel_id, ms| Post {
        room: 0,
        channel_id,
        author: 0,
        began: clock.at(ms),
        ended: clock.at(ms + 10),
        content: format!("text {id}"),
        outcome: Outcome::Acknowledged(id),
    };
    let posts = vec![post(1, OPEN, 100), post(2, OPEN, 200), post(3, OPEN, 300), post(4, HIDDEN, 400)];
    let text = |id: u64| (id, format!("text {id}"));
    let pages: Pages = [(OPEN, vec![text(1), text(2), text(3)]), (HIDDEN, vec![text(4)])].into();
    let mut insider = journal(clock, &[1, 2, 3]);
    insider.see(clock.at(420), message(HIDDEN, 4));
    Record {
        layout: Arc::new(layout()),
        scene: Arc::new(scene),
        journals: vec![insider, journal(clock, &[1, 2, 3])],
        said: Said { history: History::new(), posts, given_up: Vec::new(), left_out: 0 },
        stored: vec![pages.clone(), pages],
        unread: Vec::new(),
        last_words: vec![(OPEN, Some(3)), (HIDDEN, Some(4))],
    }
}

fn message(channel_id: u64, id: u64) -> What {
    What::Message { channel_id, id, content: format!("text {id}").into() }
}

/// A session that has its guild from 50 ms on.
fn journal(clock: &Clock, ids: &[u64]) -> Journal {
    let mut journal = Journal::default();
    journal.begin("session", clock.at(40));
    journal.see(clock.at(50), What::Guild(GUILD));
    for id in ids {
        journal.see(clock.at(id * 100 + 20), message(OPEN, *id));
    }
    journal
}

/// What is wrong, by check.
fn broken(record: &Record) -> Vec<&'static str> {
    let none = HashSet::new();
    let checks = [
        ("not stored", record.not_stored(&none)),
        ("disagreements", record.disagreements()),
        ("repeated", record.repeated()),
        ("repeated to clients", record.repeated_to_clients()),
        ("reordered", record.reordered()),
        ("leaked", record.leaked()),
        ("invented", record.invented(&none)),
        ("untold losses", record.untold_losses()),
        ("losses", record.losses()),
        ("identified anew", record.identified_anew()),
        ("not converged", record.not_converged()),
    ];
    checks.into_iter().filter(|(_, broken)| !broken.is_empty()).map(|(name, _)| name).collect()
}

fn clock() -> Clock {
    Clock(Instant::now())
}

#[test]
fn a_record_of_what_should_be_is_clean() {
    assert_eq!(broken(&record(&clock())), Vec::<&str>::new());
}

#[test]
fn a_message_that_a_region_does_not_show_is_lost_unless_it_is_excused() {
    let mut record = record(&clock());
    record.stored[1].get_mut(&OPEN).unwrap().remove(1);
    assert_eq!(broken(&record), ["not stored", "disagreements"]);
    assert_eq!(record.not_stored(&[2].into()), Vec::<String>::new());
    assert_eq!(record.not_stored(&[3].into()).len(), 1);
}

#[test]
fn a_message_that_came_and_is_not_stored_was_invented() {
    let mut record = record(&clock());
    for pages in &mut record.stored {
        pages.get_mut(&OPEN).unwrap()[1].1 = "other text".into();
    }
    assert_eq!(broken(&record), ["invented"]);
    assert_eq!(record.invented(&[2].into()), Vec::<String>::new());
}

#[test]
fn an_event_that_comes_twice_is_found() {
    let clock = clock();
    let mut record = record(&clock);
    record.journals[1].see(clock.at(500), message(OPEN, 3));
    assert_eq!(broken(&record), ["repeated", "repeated to clients"]);
    // In a later session it is not the session's repetition, but still its client's.
    let mut record = self::record(&clock);
    record.journals[1].begin("another", clock.at(510));
    record.journals[1].see(clock.at(520), What::Guild(GUILD));
    record.journals[1].see(clock.at(530), message(OPEN, 3));
    assert_eq!(broken(&record), ["repeated to clients"]);
}

#[test]
fn an_event_behind_a_later_one_is_found() {
    let clock = clock();
    let mut record = record(&clock);
    record.journals[1] = journal(&clock, &[1, 3, 2]);
    assert_eq!(broken(&record), ["reordered"]);
}

#[test]
fn what_somebody_hears_who_may_not_is_found() {
    let clock = clock();
    let mut record = record(&clock);
    record.journals[1].see(clock.at(500), message(HIDDEN, 4));
    assert_eq!(broken(&record), ["leaked"]);
}

#[test]
fn a_gap_is_a_loss_wherever_it_is() {
    let clock = clock();
    for heard in [[1, 3], [2, 3], [1, 2]] {
        let mut record = record(&clock);
        record.journals[1] = journal(&clock, &heard);
        let mut expected = vec!["untold losses", "losses"];
        if !heard.contains(&3) {
            expected.push("not converged");
        }
        assert_eq!(broken(&record), expected, "{heard:?}");
    }
}

#[test]
fn what_was_said_before_a_session_had_its_guild_need_not_come() {
    let clock = clock();
    let mut record = record(&clock);
    let mut late = Journal::default();
    late.begin("session", clock.at(140));
    late.see(clock.at(150), What::Guild(GUILD));
    for id in [2, 3] {
        late.see(clock.at(id * 100 + 20), message(OPEN, id));
    }
    record.journals[1] = late;
    assert_eq!(broken(&record), Vec::<&str>::new());
}

#[test]
fn a_gap_that_was_told_is_a_loss_but_no_untold_one() {
    let clock = clock();
    let mut record = record(&clock);
    let mut told = journal(&clock, &[1]);
    told.see(clock.at(150), What::Away(GUILD));
    told.see(clock.at(250), What::Guild(GUILD));
    told.see(clock.at(320), message(OPEN, 3));
    record.journals[1] = told;
    assert_eq!(broken(&record), ["losses"]);
    // Told away, and yet what follows has a gap.
    let mut told = journal(&clock, &[1]);
    told.see(clock.at(110), What::Away(GUILD));
    told.see(clock.at(150), What::Guild(GUILD));
    told.see(clock.at(320), message(OPEN, 3));
    record.journals[1] = told;
    assert_eq!(broken(&record), ["untold losses", "losses"]);
}

#[test]
fn a_resumed_session_has_no_excuse_and_a_new_one_is_named() {
    let clock = clock();
    let mut record = record(&clock);
    let outage = |how| Outage {
        began: clock.at(210),
        cause: Cause::Broken,
        unanswered: 2,
        failed: Vec::new(),
        back: Some(Back { at: clock.at(260), how, region: Some(1) }),
    };
    record.journals[1] = journal(&clock, &[1, 3]);
    record.journals[1].outages.push(outage(How::Resumed));
    assert_eq!(broken(&record), ["untold losses", "losses"]);
    // Identified anew, it need not have what was said in between; but it was to be resumed.
    let mut anew = journal(&clock, &[1]);
    anew.begin("another", clock.at(255));
    anew.see(clock.at(260), What::Guild(GUILD));
    anew.see(clock.at(320), message(OPEN, 3));
    anew.outages.push(outage(How::Identified));
    record.journals[1] = anew;
    assert_eq!(broken(&record), ["losses", "identified anew"]);
}

#[test]
fn who_is_away_for_too_long_or_for_ever_is_named() {
    let clock = clock();
    let mut record = record(&clock);
    let outage = |back: Option<u64>| Outage {
        began: clock.at(1_000),
        cause: Cause::Closed(4000),
        unanswered: 0,
        failed: Vec::new(),
        back: back.map(|ms| Back { at: clock.at(ms), how: How::Resumed, region: None }),
    };
    let limit = Duration::from_millis(500);
    for (back, count) in [(Some(1_500), 0), (Some(1_501), 1), (None, 1)] {
        record.journals[0].outages = vec![outage(back)];
        assert_eq!(record.away_for_longer(limit, clock.at(900), |_| true).len(), count, "{back:?}");
        assert_eq!(record.away_for_longer(limit, clock.at(900), |number| number == 1).len(), 0);
        assert_eq!(record.away_for_longer(limit, clock.at(1_001), |_| true).len(), 0);
    }
    record.journals[1].lives.clear();
    assert_eq!(record.away_for_longer(limit, clock.at(1_001), |_| true).len(), 1);
}

#[test]
fn pauses_are_measured_by_the_home_of_guilds() {
    let clock = clock();
    let record = record(&clock);
    assert_eq!(record.longest_pause(0, clock.at(0), clock.at(600)), Duration::from_millis(190));
    assert_eq!(record.longest_pause(1, clock.at(0), clock.at(600)), Duration::from_millis(600));
}
