//! Presence over several sessions: what others see, what the user's own sessions hear, when it ends.

use std::sync::Arc;

use rookery_model::gateway::{
    Activity, ActivityType, ClientKind, ClientStatus, Event, OwnSession, Presence, PresenceUpdate, Status, SubscriberId,
};
use rookery_model::relationship::{RelationshipRow, RelationshipType};
use rookery_model::{DeviceId, Timestamp, UserId};
use rookery_user::{
    Limits, Moment, OWN_SESSIONS_MAX, PresenceOutcome, SessionClient, UserCore, UserSession, UserState,
};

const FRIEND: UserId = UserId::new(2);
const BLOCKED: UserId = UserId::new(3);
const EXPIRY_MS: u64 = 90_000;

fn user(is_bot: bool) -> UserCore {
    let relation = |other_id, kind| RelationshipRow {
        user_id: UserId::new(1),
        other_id,
        kind,
        nickname: None,
        since: Timestamp(0),
    };
    let state = UserState {
        user_id: UserId::new(1),
        is_bot,
        guild_ids: vec![],
        dm_ids: vec![],
        read_states: vec![],
        relationships: vec![relation(FRIEND, RelationshipType::Friend), relation(BLOCKED, RelationshipType::Blocked)],
        status: Status::Online,
    };
    UserCore::load(state, Limits::default())
}

fn at(ms: u64) -> Moment {
    Moment { ms, unix_ms: 1_700_000_000_000 + ms }
}

fn id(n: u64) -> SubscriberId {
    SubscriberId(n)
}

fn session(n: u64, kind: ClientKind) -> UserSession {
    let client = SessionClient { kind, os: "os".into(), presence: None };
    UserSession { id: id(n), device: DeviceId::new(n), epoch: 0, intents: None, shard: None, client }
}

fn says(status: Status, games: &[&str]) -> PresenceUpdate {
    let activities = games.iter().map(|game| Activity::new(*game, ActivityType::Playing)).collect();
    PresenceUpdate { status, activities, ..PresenceUpdate::default() }
}

fn start(core: &mut UserCore, ms: u64, n: u64, kind: ClientKind) -> PresenceOutcome {
    core.subscribe(at(ms), session(n, kind)).expect("a session").presence
}

fn games(presence: &Presence) -> Vec<&str> {
    presence.activities.iter().map(|activity| activity.name.as_str()).collect()
}

fn replaced(outcome: &PresenceOutcome) -> Option<(Vec<OwnSession>, Vec<SubscriberId>)> {
    let dispatch = outcome.dispatches.first()?;
    match &*dispatch.event {
        Event::SessionsReplace(sessions) => Some((sessions.clone(), dispatch.sessions.clone())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_session_makes_the_user_online_and_the_last_one_offline() {
    let mut core = user(false);
    let shown = start(&mut core, 0, 1, ClientKind::Desktop).shown.expect("a change");
    assert_eq!(shown.status, Status::Online);
    assert_eq!(shown.client_status, ClientStatus { desktop: Some(Status::Online), ..ClientStatus::default() });
    let shown = core.unsubscribe(id(1)).shown.expect("a change");
    assert_eq!(*shown, Presence::default());
    assert_eq!(core.unsubscribe(id(1)), PresenceOutcome::default());
}

#[test]
fn devices_are_merged_and_do_not_disturb_is_stronger() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    assert!(start(&mut core, 0, 2, ClientKind::Mobile).shown.expect("another kind").client_status.mobile.is_some());
    let shown = core.update_presence(at(1), id(1), says(Status::Idle, &["chess"])).shown.expect("a change");
    assert_eq!((shown.status, games(&shown)), (Status::Online, vec!["chess"]));
    assert_eq!(shown.client_status.desktop, Some(Status::Idle));
    let shown = core.update_presence(at(2), id(2), says(Status::Idle, &["go"])).shown.expect("a change");
    assert_eq!((shown.status, games(&shown)), (Status::Idle, vec!["chess", "go"]));
    let shown = core.update_presence(at(3), id(1), says(Status::Dnd, &["chess"])).shown.expect("a change");
    assert_eq!(shown.status, Status::Dnd);
    let both = ClientStatus { desktop: Some(Status::Dnd), mobile: Some(Status::Idle), web: None };
    assert_eq!(shown.client_status, both);
}

#[test]
fn the_invisible_are_offline_to_others_and_known_to_their_own_sessions() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    let shown = core.update_presence(at(1), id(1), says(Status::Invisible, &["secret"])).shown.expect("a change");
    assert_eq!(*shown, Presence::default());
    let second = UserSession {
        client: SessionClient {
            presence: Some(Box::new(says(Status::Offline, &[]))),
            ..session(2, ClientKind::Web).client
        },
        ..session(2, ClientKind::Web)
    };
    let subscribed = core.subscribe(at(2), second).expect("a session");
    assert_eq!(subscribed.presence.shown, None, "nobody sees the second either");
    assert_eq!(subscribed.sessions.iter().map(|s| s.status).collect::<Vec<_>>(), [Status::Invisible; 2]);
    let (sessions, to) = replaced(&subscribed.presence).expect("the first session hears of it");
    assert_eq!((sessions.len(), to), (2, vec![id(1)]));
}

#[test]
fn own_sessions_hear_of_each_other_only_when_there_are_several() {
    let mut core = user(false);
    assert!(replaced(&start(&mut core, 0, 1, ClientKind::Desktop)).is_none());
    assert!(replaced(&core.update_presence(at(1), id(1), says(Status::Idle, &[]))).is_none());
    start(&mut core, 2, 2, ClientKind::Web);
    let (sessions, to) = replaced(&core.update_presence(at(3), id(1), says(Status::Dnd, &[]))).expect("an event");
    assert_eq!((sessions[0].status, to), (Status::Dnd, vec![id(1), id(2)]));
    assert!(replaced(&core.update_presence(at(4), id(1), says(Status::Dnd, &[]))).is_none(), "as it was");
    let (sessions, to) = replaced(&core.unsubscribe(id(2))).expect("one is gone");
    assert_eq!((sessions.len(), to), (1, vec![id(1)]));
    let mut bot = user(true);
    start(&mut bot, 0, 1, ClientKind::Web);
    assert!(replaced(&start(&mut bot, 0, 2, ClientKind::Web)).is_none());
}

#[test]
fn a_session_without_connection_counts_for_a_while_and_again_when_it_is_back() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    core.update_presence(at(1), id(1), says(Status::Idle, &["chess"]));
    assert_eq!(core.detached(at(1_000), id(1)).shown, None);
    assert_eq!(core.poll_timeout(), Some(1_000 + EXPIRY_MS));
    assert_eq!(core.handle_timeout(at(999 + EXPIRY_MS)).shown, None);
    // Said twice, it does not begin anew.
    core.detached(at(5_000), id(1));
    let shown = core.handle_timeout(at(1_000 + EXPIRY_MS)).shown.expect("it is gone");
    assert_eq!((shown.status, core.poll_timeout()), (Status::Offline, None));
    let shown = core.attached(id(1)).shown.expect("it is back");
    assert_eq!((shown.status, games(&shown)), (Status::Idle, vec!["chess"]));
    core.detached(at(200_000), id(1));
    core.attached(id(1));
    assert_eq!(core.poll_timeout(), None);
}

#[test]
fn beyond_its_rate_only_the_last_word_of_a_session_is_heard() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    let said: Vec<bool> = (0..8)
        .map(|n| {
            let status = if n % 2 == 0 { Status::Idle } else { Status::Online };
            core.update_presence(at(n), id(1), says(status, &[&n.to_string()])).shown.is_some()
        })
        .collect();
    assert_eq!(said, [true, true, true, true, true, false, false, false]);
    assert_eq!(games(core.presence()), ["4"]);
    assert_eq!(core.poll_timeout(), Some(20_000));
    assert_eq!(core.handle_timeout(at(19_999)).shown, None);
    assert_eq!(games(&core.handle_timeout(at(20_000)).shown.expect("the last word")), ["7"]);
    assert_eq!(core.poll_timeout(), None);
    // It counted as the first of the new window.
    let said = (0..5)
        .filter(|n| core.update_presence(at(20_001), id(1), says(Status::Idle, &[&n.to_string()])).shown.is_some());
    assert_eq!(said.count(), 4);
}

#[test]
fn an_activity_that_goes_on_keeps_its_beginning() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    let first = core.update_presence(at(1), id(1), says(Status::Online, &["chess"])).shown.expect("a change");
    assert_eq!(core.update_presence(at(500), id(1), says(Status::Online, &["chess"])).shown, None);
    let more = core.update_presence(at(900), id(1), says(Status::Online, &["go", "chess"])).shown.expect("a change");
    assert_eq!(more.activities[1], first.activities[0]);
    assert_eq!(more.activities[0].created_at, Some(1_700_000_000_900));
}

#[test]
fn there_is_one_custom_status_and_it_stands_first() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    start(&mut core, 0, 2, ClientKind::Web);
    let custom = |text: &str| Activity { state: Some(text.into()), ..Activity::new("", ActivityType::Custom) };
    let with = |text: &str| {
        let mut update = says(Status::Online, &["chess"]);
        update.activities.push(custom(text));
        update
    };
    core.update_presence(at(1), id(1), with("first"));
    core.update_presence(at(1), id(2), with("second"));
    let shown = core.presence();
    assert_eq!(games(shown), ["Custom Status", "chess"]);
    assert_eq!(shown.activities[0].state.as_deref(), Some("first"));
}

#[test]
fn presences_outlive_a_core_and_end_with_their_sessions() {
    let mut old = user(false);
    start(&mut old, 0, 1, ClientKind::Desktop);
    start(&mut old, 0, 2, ClientKind::Mobile);
    old.update_presence(at(1), id(1), says(Status::Idle, &["chess"]));
    let before = Arc::clone(old.presence());
    let mut new = user(false);
    new.keep_presences(old.take_presences());
    assert_eq!(start(&mut new, 5, 1, ClientKind::Desktop).shown, None, "it keeps what it said");
    assert_eq!(*new.presence(), before);
    // The second session is not subscribed again.
    let shown = new.forget_lost().shown.expect("a change");
    assert_eq!((shown.status, shown.client_status.mobile, games(&shown)), (Status::Idle, None, vec!["chess"]));
}

#[test]
fn only_friends_watch() {
    let mut core = user(false);
    start(&mut core, 0, 1, ClientKind::Desktop);
    assert_eq!(core.friends().collect::<Vec<_>>(), [FRIEND]);
    assert_eq!(core.friend_watchers(FRIEND), [id(1)]);
    assert!(core.friend_watchers(BLOCKED).is_empty() && core.friend_watchers(UserId::new(9)).is_empty());
}

#[test]
fn of_very_many_sessions_the_oldest_are_told_and_the_others_disturb_nobody() {
    let mut core = user(false);
    for n in 1..=OWN_SESSIONS_MAX as u64 {
        start(&mut core, 0, n, ClientKind::Web);
    }
    assert!(replaced(&start(&mut core, 1, 100, ClientKind::Web)).is_none());
    assert!(replaced(&core.update_presence(at(2), id(100), says(Status::Idle, &[]))).is_none());
    let (sessions, to) = replaced(&core.unsubscribe(id(1))).expect("another one comes in its place");
    assert_eq!((sessions.len(), to.len()), (OWN_SESSIONS_MAX, OWN_SESSIONS_MAX));
    assert_eq!(sessions.last().map(|session| session.status), Some(Status::Idle));
}
