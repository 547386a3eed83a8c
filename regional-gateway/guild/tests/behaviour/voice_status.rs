//! Statuses of voice channels: who may set one, who is told, how a session reads them, and what ends one.

use rookery_guild::{Outcome, Subscriber, SubscriberId};
use rookery_model::audit_log::action;
use rookery_model::call::Call;
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{Capabilities, ChannelInfoChannel, Event, Intents};
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions, UserId};
use serde_json::{Value, json};

use crate::voice::Voice;
use crate::world::*;

const NONE: Permissions = Permissions::empty();
const VIEW: Permissions = Permissions::VIEW_CHANNEL;
const SET: Permissions = Permissions::SET_VOICE_CHANNEL_STATUS;
const MANAGE: Permissions = Permissions::MANAGE_CHANNELS;

fn set<'a>(
    v: &mut Voice,
    by: UserId,
    channel_id: ChannelId,
    status: impl Into<Option<&'a str>>,
) -> Result<Outcome, ApiError> {
    let status = status.into().map(str::to_owned);
    v.world.call(by, Call::SetVoiceChannelStatus { channel_id, status })
}

/// What a session hears of statuses: where, and which.
fn heard(outcome: &Outcome, id: SubscriberId) -> Vec<(ChannelId, Option<String>)> {
    let of = |event: &Event| match event {
        Event::VoiceChannelStatusUpdate(update) => Some((update.id, update.status.clone())),
        _ => None,
    };
    events_for(outcome, id).iter().filter_map(|event| of(event)).collect()
}

fn is(channel_id: ChannelId, status: &str) -> Vec<(ChannelId, Option<String>)> {
    vec![(channel_id, Some(status.into()))]
}

fn is_over(channel_id: ChannelId) -> Vec<(ChannelId, Option<String>)> {
    vec![(channel_id, None)]
}

/// What CHANNEL_INFO tells a session, for these fields.
fn info(v: &Voice, id: SubscriberId, fields: &[&str]) -> Vec<ChannelInfoChannel> {
    let fields: Vec<String> = fields.iter().map(|field| (*field).into()).collect();
    let outcome = v.world.core.request_channel_info(id, &fields);
    let events = events_for(&outcome, id);
    let [Event::ChannelInfo(info)] = &events.iter().map(|event| &**event).collect::<Vec<_>>()[..] else {
        panic!("{events:?}")
    };
    assert_eq!(info.guild_id, v.world.guild_id());
    info.channels.clone()
}

/// The statuses that a session reads.
fn read(v: &Voice, id: SubscriberId) -> Vec<(ChannelId, String)> {
    let status = |channel: ChannelInfoChannel| match channel.status {
        Patch::Set(status) => Some((channel.id, status)),
        Patch::Clear => None,
        Patch::Keep => panic!("it was asked for"),
    };
    info(v, id, &["status"]).into_iter().filter_map(status).collect()
}

fn subscribe_again(v: &mut Voice) {
    for (id, user_id) in [(v.owner, OWNER), (v.alice, ALICE), (v.bob, BOB)] {
        let subscriber =
            Subscriber { id, user_id, intents: None, large_threshold: 50, capabilities: Capabilities::empty() };
        v.world.core.subscribe(subscriber).expect("a member");
    }
}

#[test]
fn who_is_in_the_channel_needs_one_permission_and_others_two() {
    let mut v = Voice::new();
    let (alice, open) = (v.alice, v.open);
    refused(set(&mut v, ALICE, open, "Owls"), ErrorCode::MissingPermissions);
    v.join(alice, open);
    refused(set(&mut v, ALICE, open, "Owls"), ErrorCode::MissingPermissions);
    v.world.grant(ALICE, SET);
    let outcome = set(&mut v, ALICE, open, "Owls").expect("she is there");
    assert_eq!(heard(&outcome, v.bob), is(open, "Owls"));
    // In another channel she is elsewhere.
    let lounge = v.world.make_channel(channel("lounge", ChannelType::GuildVoice)).id;
    v.join(alice, lounge);
    refused(set(&mut v, ALICE, open, "Rooks"), ErrorCode::MissingPermissions);
    let role = v.world.grant(ALICE, MANAGE);
    set(&mut v, ALICE, open, "Rooks").expect("she manages it");
    // Who manages a channel and may not set statuses, does not.
    v.world.grant(BOB, MANAGE);
    refused(set(&mut v, BOB, open, "Gulls"), ErrorCode::MissingPermissions);
    // Nobody manages a channel that they may not enter.
    v.world.overwrite(open, for_role(role, NONE, Permissions::CONNECT));
    refused(set(&mut v, ALICE, open, "Gulls"), ErrorCode::MissingPermissions);
    assert_eq!(read(&v, v.bob), [(open, "Rooks".into())]);
}

#[test]
fn only_voice_channels_that_one_sees_have_a_status() {
    let mut v = Voice::new();
    let (open, hidden, general) = (v.open, v.hidden, v.world.general());
    let stage = v.world.make_channel(channel("stage", ChannelType::GuildStageVoice)).id;
    refused(set(&mut v, OWNER, general, "Owls"), ErrorCode::WrongChannelType);
    refused(set(&mut v, OWNER, stage, "Owls"), ErrorCode::WrongChannelType);
    refused(set(&mut v, OWNER, ChannelId::new(5), "Owls"), ErrorCode::UnknownChannel);
    v.world.grant(BOB, SET | MANAGE);
    refused(set(&mut v, BOB, hidden, "Owls"), ErrorCode::MissingAccess);
    refused(set(&mut v, STRANGER, open, "Owls"), ErrorCode::MissingAccess);
}

#[test]
fn a_status_in_a_hidden_channel_is_told_to_those_who_see_it() {
    let mut v = Voice::new();
    let (owner, alice, bob, hidden) = (v.owner, v.alice, v.bob, v.hidden);
    v.join(alice, hidden);
    let outcome = set(&mut v, OWNER, hidden, "Secrets").unwrap();
    assert_eq!((heard(&outcome, owner), heard(&outcome, alice)), (is(hidden, "Secrets"), is(hidden, "Secrets")));
    assert_eq!(heard(&outcome, bob), []);
    assert_eq!((read(&v, alice), read(&v, bob)), (vec![(hidden, "Secrets".into())], vec![]));
    assert!(info(&v, bob, &["status"]).iter().all(|channel| channel.id != hidden));
    // It appears to him with its status, and without it when that is over.
    let outcome = v.world.overwrite(hidden, for_member(BOB, VIEW, NONE));
    assert_eq!(names_for(&outcome, bob), ["CHANNEL_CREATE", "VOICE_STATE_UPDATE", "VOICE_CHANNEL_STATUS_UPDATE"]);
    assert_eq!(heard(&outcome, bob), is(hidden, "Secrets"));
    assert_eq!(heard(&outcome, alice), []);
    v.world.overwrite(hidden, for_member(BOB, NONE, VIEW));
    let outcome = v.to(alice, None).unwrap();
    assert_eq!((heard(&outcome, alice), heard(&outcome, bob)), (is_over(hidden), vec![]));
    let outcome = v.world.overwrite(hidden, for_member(BOB, VIEW, NONE));
    assert_eq!(names_for(&outcome, bob), ["CHANNEL_CREATE"]);
}

#[test]
fn bots_hear_of_it_by_the_intent_of_guilds() {
    let mut v = Voice::new();
    let open = v.open;
    let (with, _) = v.world.subscribe(BOT, Some(Intents::GUILDS));
    let (without, _) = v.world.subscribe(BOT, Some(Intents::GUILD_VOICE_STATES));
    let outcome = set(&mut v, OWNER, open, "Owls").unwrap();
    assert_eq!((heard(&outcome, with), heard(&outcome, without)), (is(open, "Owls"), vec![]));
}

#[test]
fn it_ends_when_the_last_one_leaves() {
    let mut v = Voice::new();
    let (owner, alice, bob, open, hidden) = (v.owner, v.alice, v.bob, v.open, v.hidden);
    v.join(alice, open);
    v.join(bob, open);
    set(&mut v, OWNER, open, "Owls").unwrap();
    // By moving to a channel that BOB does not see.
    let outcome = v.join(alice, hidden);
    assert_eq!(heard(&outcome, owner), []);
    let outcome = v.to(bob, None).unwrap();
    assert_eq!(names_for(&outcome, owner), ["VOICE_STATE_UPDATE", "VOICE_CHANNEL_STATUS_UPDATE"]);
    assert_eq!(heard(&outcome, owner), is_over(open));
    // By moving.
    set(&mut v, OWNER, hidden, "Secrets").unwrap();
    let outcome = v.join(alice, open);
    assert_eq!((heard(&outcome, owner), heard(&outcome, bob)), (is_over(hidden), vec![]));
    // With the session.
    set(&mut v, OWNER, open, "Owls").unwrap();
    let outcome = v.world.core.unsubscribe(alice);
    assert_eq!(heard(&outcome, bob), is_over(open));
    // With the right to be there.
    v.join(bob, open);
    set(&mut v, OWNER, open, "Owls").unwrap();
    let outcome = v.world.overwrite(open, for_member(BOB, NONE, VIEW));
    assert_eq!((heard(&outcome, owner), heard(&outcome, bob)), (is_over(open), vec![]));
    assert_eq!(read(&v, owner), []);
}

#[test]
fn it_ends_with_the_channel_and_with_the_process() {
    let mut v = Voice::new();
    let (owner, alice, bob, open, hidden) = (v.owner, v.alice, v.bob, v.open, v.hidden);
    v.join(alice, open);
    set(&mut v, OWNER, open, "Owls").unwrap();
    // Nobody is there.
    set(&mut v, OWNER, hidden, "Secrets").unwrap();
    let outcome = v.world.ok(OWNER, Call::DeleteChannel { channel_id: open });
    assert_eq!(names_for(&outcome, bob), ["VOICE_STATE_UPDATE", "VOICE_CHANNEL_STATUS_UPDATE", "CHANNEL_DELETE"]);
    assert_eq!(heard(&outcome, bob), is_over(open));
    assert_eq!(read(&v, owner), [(hidden, "Secrets".into())]);
    let other = v.world.make_channel(channel("other", ChannelType::GuildVoice)).id;
    set(&mut v, OWNER, other, "Rooks").unwrap();
    let outcome = v.world.ok(OWNER, Call::DeleteChannel { channel_id: other });
    assert_eq!(names_for(&outcome, bob), ["VOICE_CHANNEL_STATUS_UPDATE", "CHANNEL_DELETE"]);
    let outcome = v.world.core.end_voice();
    assert_eq!((heard(&outcome, owner), heard(&outcome, bob)), (is_over(hidden), vec![]));
    assert_eq!(read(&v, owner), []);
    assert!(v.world.core.end_voice().dispatches.is_empty());
}

#[test]
fn it_outlives_a_core_as_the_connections_do() {
    let mut v = Voice::new();
    let (owner, alice, bob, open, hidden) = (v.owner, v.alice, v.bob, v.open, v.hidden);
    let gone = v.world.make_channel(channel("gone", ChannelType::GuildVoice)).id;
    v.join(alice, open);
    v.join(bob, gone);
    for (channel_id, status) in [(open, "Owls"), (hidden, "Secrets"), (gone, "Rooks")] {
        set(&mut v, OWNER, channel_id, status).unwrap();
    }
    let kept = v.world.core.take_transient();
    v.world.rows.channels.remove(&gone);
    v.world.reload();
    subscribe_again(&mut v);
    let outcome = v.world.core.keep_transient(v.world.now, kept);
    assert_eq!(heard(&outcome, owner), []);
    assert_eq!(read(&v, owner), [(open, "Owls".into()), (hidden, "Secrets".into())]);
    // What told it got lost with the core.
    assert_eq!(heard(&v.world.core.repeat_voice_status(open), bob), is(open, "Owls"));
    assert_eq!(heard(&v.world.core.repeat_voice_status(hidden), bob), []);
    assert!(v.world.core.repeat_voice_status(gone).dispatches.is_empty());
    // ALICE's session did not come into the next core.
    let kept = v.world.core.take_transient();
    v.world.reload();
    subscribe_again(&mut v);
    v.world.core.unsubscribe(alice);
    let outcome = v.world.core.keep_transient(v.world.now, kept);
    assert_eq!((heard(&outcome, owner), heard(&outcome, bob)), (is_over(open), is_over(open)));
}

#[test]
fn what_changes_nothing_is_neither_told_nor_logged() {
    let mut v = Voice::new();
    let open = v.open;
    for (status, wanted) in [(None, 0), (Some("Owls"), 1), (Some("Owls"), 1), (Some("Rooks"), 2), (None, 3), (None, 3)]
    {
        let before = v.world.rows.audit_log.len();
        let outcome = set(&mut v, OWNER, open, status).unwrap();
        let is_told = heard(&outcome, v.bob) == [(open, status.map(str::to_owned))];
        assert_eq!((v.world.rows.audit_log.len(), is_told), (wanted, wanted > before), "{status:?}");
    }
    let options = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref().expect("options")).unwrap();
    let log: Vec<_> = v.world.rows.audit_log.iter().map(|row| (row.action_type, options(&row.options))).collect();
    let owls = json!({"channel_id": open.to_string(), "status": "Owls"});
    let rooks = json!({"channel_id": open.to_string(), "status": "Rooks"});
    assert_eq!(
        log,
        [
            (action::VOICE_CHANNEL_STATUS_CREATE, owls),
            (action::VOICE_CHANNEL_STATUS_CREATE, rooks),
            (action::VOICE_CHANNEL_STATUS_DELETE, json!({"channel_id": open.to_string()})),
        ]
    );
    let row = &v.world.rows.audit_log[0];
    assert_eq!((row.user_id, row.target_id), (Some(OWNER), Some(open.0)));
    // That nobody is there any more is nobody's doing.
    v.join(v.alice, open);
    set(&mut v, OWNER, open, "Owls").unwrap();
    v.to(v.alice, None).unwrap();
    assert_eq!(v.world.rows.audit_log.len(), 4);
}

#[test]
fn a_session_reads_what_it_asks_for() {
    let mut v = Voice::new();
    let (bob, open) = (v.bob, v.open);
    v.world.make_channel(channel("stage", ChannelType::GuildStageVoice));
    let here = |status| vec![ChannelInfoChannel { id: open, status }];
    assert_eq!(info(&v, bob, &["status"]), here(Patch::Clear));
    set(&mut v, OWNER, open, "Owls").unwrap();
    assert_eq!(info(&v, bob, &["voice_start_time", "status"]), here(Patch::Set("Owls".into())));
    assert_eq!(info(&v, bob, &["nonsense"]), here(Patch::Keep));
    assert!(v.world.core.request_channel_info(SubscriberId(999), &["status".into()]).dispatches.is_empty());
}
