//! Stages: who speaks and who listens, who decides it, and when a stage is live.

use rookery_guild::{Effect, Outcome, SubscriberId};
use rookery_model::audit_log::action;
use rookery_model::call::{
    Call, CreateChannel, CreateStageInstance, ModifyChannel, ModifyCurrentVoiceState, ModifyMember,
    ModifyStageInstance, ModifyVoiceState, Reply,
};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{Event, Intents, VoiceState, VoiceStateUpdate};
use rookery_model::message::MessageType;
use rookery_model::stage_instance::{PRIVACY_LEVEL_GUILD_ONLY, StageInstance};
use rookery_model::voice::{VoiceRights, VoiceRoomKind};
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions, Timestamp, UserId};

use crate::world::*;

const NONE: Permissions = Permissions::empty();
const VIEW: Permissions = Permissions::VIEW_CHANNEL;
const MUTE: Permissions = Permissions::MUTE_MEMBERS;
const MODERATOR: Permissions =
    Permissions::MANAGE_CHANNELS.union(Permissions::MUTE_MEMBERS).union(Permissions::MOVE_MEMBERS);

/// A world with a stage, whose people are all connected.
struct Stage {
    world: World,
    owner: SubscriberId,
    alice: SubscriberId,
    bob: SubscriberId,
    bot: SubscriberId,
    stage: ChannelId,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::new();
        let stage = world.make_channel(channel("stage", ChannelType::GuildStageVoice)).id;
        let (owner, _) = world.subscribe(OWNER, None);
        let (alice, _) = world.subscribe(ALICE, None);
        let (bob, _) = world.subscribe(BOB, None);
        let (bot, _) = world.subscribe(BOT, Some(Intents::GUILDS | Intents::GUILD_VOICE_STATES));
        Self { world, owner, alice, bob, bot, stage }
    }

    fn to(&mut self, id: SubscriberId, channel_id: ChannelId) -> Outcome {
        let update = VoiceStateUpdate {
            guild_id: Some(self.world.guild_id()),
            channel_id: Some(channel_id),
            self_mute: false,
            self_deaf: false,
            self_video: false,
        };
        self.world.core.update_voice_state(self.world.now, id, &format!("voice{}", id.0), &update).expect("let in")
    }

    fn own(&mut self, by: UserId, changes: ModifyCurrentVoiceState) -> Result<Outcome, ApiError> {
        let guild_id = self.world.guild_id();
        self.world.call(by, Call::ModifyCurrentVoiceState { guild_id, changes })
    }

    fn ask(&mut self, by: UserId, at: Patch<Timestamp>) -> Result<Outcome, ApiError> {
        self.own(by, ModifyCurrentVoiceState { request_to_speak_timestamp: at, ..Default::default() })
    }

    fn suppress(&mut self, by: UserId, user_id: UserId, suppress: bool) -> Result<Outcome, ApiError> {
        let guild_id = self.world.guild_id();
        let changes = ModifyVoiceState { suppress: Some(suppress), ..Default::default() };
        self.world.call(by, Call::ModifyVoiceState { guild_id, user_id, changes })
    }

    fn suppress_self(&mut self, by: UserId, suppress: bool) -> Result<Outcome, ApiError> {
        self.own(by, ModifyCurrentVoiceState { suppress: Some(suppress), ..Default::default() })
    }

    fn state(&mut self, by: UserId, user_id: UserId) -> Result<VoiceState, ApiError> {
        let guild_id = self.world.guild_id();
        match self.world.call(by, Call::GetVoiceState { guild_id, user_id })?.reply {
            Reply::VoiceState(state) => Ok(*state),
            other => panic!("{other:?}"),
        }
    }

    fn start(&mut self, by: UserId, topic: &str, notify: bool) -> Result<Outcome, ApiError> {
        let wanted = CreateStageInstance {
            channel_id: self.stage,
            topic: topic.into(),
            privacy_level: PRIVACY_LEVEL_GUILD_ONLY,
            send_start_notification: notify,
        };
        self.world.call(by, Call::CreateStageInstance(wanted))
    }

    fn rename(&mut self, by: UserId, topic: &str) -> Result<Outcome, ApiError> {
        let changes = ModifyStageInstance { topic: Some(topic.into()), privacy_level: None };
        self.world.call(by, Call::ModifyStageInstance { channel_id: self.stage, changes })
    }

    fn get(&mut self, by: UserId) -> Result<StageInstance, ApiError> {
        match self.world.call(by, Call::GetStageInstance { channel_id: self.stage })?.reply {
            Reply::StageInstance(stage) => Ok(*stage),
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, by: UserId) -> Result<Outcome, ApiError> {
        self.world.call(by, Call::DeleteStageInstance { channel_id: self.stage })
    }
}

/// What a session hears of voice: whose state it is, whether they are of the audience, and since when they ask to speak.
fn heard(outcome: &Outcome, id: SubscriberId) -> Vec<(UserId, bool, Option<Timestamp>)> {
    let of = |event: &Event| match event {
        Event::VoiceStateUpdate(s) => Some((s.user_id, s.suppress, s.request_to_speak_timestamp)),
        _ => None,
    };
    events_for(outcome, id).iter().filter_map(|event| of(event)).collect()
}

/// Who may speak in their room from now on, and who may not.
fn rooms(outcome: &Outcome) -> Vec<(UserId, bool)> {
    let of = |effect: &Effect| match effect {
        Effect::VoiceConnected(entry) => {
            assert_eq!(entry.kind, VoiceRoomKind::Stage);
            let speaks = entry.rights.contains(VoiceRights::SPEAK);
            assert!(speaks || entry.rights == VoiceRights::HEAR, "the audience shows nothing either: {entry:?}");
            Some((entry.user_id, speaks))
        }
        _ => None,
    };
    outcome.effects.iter().filter_map(of).collect()
}

#[test]
fn whoever_comes_to_a_stage_listens_until_made_a_speaker() {
    let mut s = Stage::new();
    for (id, user_id) in [(s.owner, OWNER), (s.alice, ALICE)] {
        let outcome = s.to(id, s.stage);
        assert_eq!(heard(&outcome, s.bob), [(user_id, true, None)]);
        assert_eq!(rooms(&outcome), [(user_id, false)]);
    }
    let now = s.world.now;
    let outcome = s.suppress(OWNER, ALICE, false).unwrap();
    assert_eq!(heard(&outcome, s.bob), [(ALICE, false, Some(now))], "she is asked whether she wants to");
    assert_eq!(rooms(&outcome), [(ALICE, true)]);
    assert_eq!(outcome.reply, Reply::NoContent);
    // She accepts, which wants no permission.
    let accept = ModifyCurrentVoiceState {
        suppress: Some(false),
        request_to_speak_timestamp: Patch::Clear,
        ..Default::default()
    };
    assert_eq!(heard(&s.own(ALICE, accept).unwrap(), s.bob), [(ALICE, false, None)]);
    // What she says of herself changes nothing of it.
    assert!(rooms(&s.to(s.alice, s.stage)).is_empty());
    let outcome = s.suppress(OWNER, ALICE, true).unwrap();
    assert_eq!((heard(&outcome, s.bob), rooms(&outcome)), (vec![(ALICE, true, None)], vec![(ALICE, false)]));
    assert!(s.suppress(OWNER, ALICE, true).unwrap().dispatches.is_empty(), "she is there already");
}

#[test]
fn bots_are_made_speakers_without_being_asked() {
    let mut s = Stage::new();
    s.to(s.bot, s.stage);
    let outcome = s.suppress(OWNER, BOT, false).unwrap();
    assert_eq!(heard(&outcome, s.alice), [(BOT, false, None)]);
}

#[test]
fn only_moderators_go_onto_the_stage_and_everybody_goes_off() {
    let mut s = Stage::new();
    s.to(s.alice, s.stage);
    refused(s.suppress_self(ALICE, false), ErrorCode::MissingPermissions);
    refused(s.suppress(BOB, ALICE, false), ErrorCode::MissingPermissions);
    refused(s.suppress(ALICE, ALICE, false), ErrorCode::MissingPermissions);
    s.world.overwrite(s.stage, for_member(ALICE, MUTE, NONE));
    let outcome = s.suppress_self(ALICE, false).unwrap();
    assert_eq!((heard(&outcome, s.bob), rooms(&outcome)), (vec![(ALICE, false, None)], vec![(ALICE, true)]));
    // A speaker without the right goes on speaking, and may leave the stage.
    let outcome = s.world.overwrite(s.stage, for_member(ALICE, NONE, MUTE));
    assert!(heard(&outcome, s.bob).is_empty());
    assert_eq!(heard(&s.suppress_self(ALICE, true).unwrap(), s.bob), [(ALICE, true, None)]);
    refused(s.suppress_self(ALICE, false), ErrorCode::MissingPermissions);
}

#[test]
fn who_may_ask_to_speak_asks_and_takes_it_back() {
    let mut s = Stage::new();
    s.to(s.alice, s.stage);
    let now = s.world.now;
    let later = Timestamp(now.0 + 3_600_000_000);
    assert_eq!(heard(&s.ask(ALICE, Patch::Set(later)).unwrap(), s.bob), [(ALICE, true, Some(later))]);
    // A clock that is a little behind asks now.
    let behind = Timestamp(now.0 - 5_000_000);
    let outcome = s.ask(ALICE, Patch::Set(behind)).unwrap();
    assert_eq!((heard(&outcome, s.bob), rooms(&outcome)), (vec![(ALICE, true, Some(now))], vec![(ALICE, false)]));
    let past = Timestamp(now.0 - 3_600_000_000);
    let error = s.ask(ALICE, Patch::Set(past)).unwrap_err();
    assert_eq!((error.code, &*error.errors[0].code), (50_035, "DATE_TIME_TYPE_MIN"));
    refused(s.ask(ALICE, Patch::Set(Timestamp(i64::MIN))), ErrorCode::InvalidFormBody);
    s.world.deny_everyone(s.stage, Permissions::REQUEST_TO_SPEAK);
    refused(s.ask(ALICE, Patch::Set(now)), ErrorCode::MissingPermissions);
    assert_eq!(heard(&s.ask(ALICE, Patch::Clear).unwrap(), s.bob), [(ALICE, true, None)]);
    // A request ends when the one who asked is sent to the audience, or goes elsewhere.
    s.world.overwrite(s.stage, for_member(ALICE, Permissions::REQUEST_TO_SPEAK, NONE));
    s.ask(ALICE, Patch::Set(now)).unwrap();
    assert_eq!(heard(&s.suppress(OWNER, ALICE, true).unwrap(), s.bob), [(ALICE, true, None)]);
    s.ask(ALICE, Patch::Set(now)).unwrap();
    let other = s.world.make_channel(channel("other", ChannelType::GuildStageVoice)).id;
    assert_eq!(heard(&s.to(s.alice, other), s.bob), [(ALICE, true, None)]);
}

#[test]
fn a_speaker_who_goes_elsewhere_listens_there() {
    let mut s = Stage::new();
    let other = s.world.make_channel(channel("other", ChannelType::GuildStageVoice)).id;
    let lounge = s.world.channel(ChannelType::GuildVoice);
    s.to(s.alice, s.stage);
    s.suppress(OWNER, ALICE, false).unwrap();
    let guild_id = s.world.guild_id();
    let changes = ModifyMember { channel_id: Patch::Set(other), ..ModifyMember::default() };
    let outcome = s.world.ok(OWNER, Call::ModifyMember { guild_id, user_id: ALICE, changes });
    assert_eq!((heard(&outcome, s.bob), rooms(&outcome)), (vec![(ALICE, true, None)], vec![(ALICE, false)]));
    s.suppress(OWNER, ALICE, false).unwrap();
    assert_eq!(heard(&s.to(s.alice, lounge), s.bob), [(ALICE, false, None)], "there everybody speaks");
    assert_eq!(heard(&s.to(s.alice, other), s.bob), [(ALICE, true, None)]);
}

#[test]
fn a_speaker_who_was_brought_in_is_silenced_by_a_time_out() {
    let mut s = Stage::new();
    let lounge = s.world.channel(ChannelType::GuildVoice);
    s.to(s.alice, lounge);
    // To where she could not come by herself, so that nothing puts her out.
    s.world.deny_everyone(s.stage, Permissions::CONNECT);
    let guild_id = s.world.guild_id();
    let moved = ModifyMember { channel_id: Patch::Set(s.stage), ..ModifyMember::default() };
    s.world.ok(OWNER, Call::ModifyMember { guild_id, user_id: ALICE, changes: moved });
    assert_eq!(rooms(&s.suppress(OWNER, ALICE, false).unwrap()), [(ALICE, true)]);
    let until = Patch::Set(Timestamp(s.world.now.0 + 5_000_000));
    let silenced = ModifyMember { communication_disabled_until: until, ..ModifyMember::default() };
    let outcome = s.world.ok(OWNER, Call::ModifyMember { guild_id, user_id: ALICE, changes: silenced });
    assert_eq!(rooms(&outcome), [(ALICE, false)]);
}

#[test]
fn voice_states_are_changed_on_stages_only_and_of_those_who_are_there() {
    let mut s = Stage::new();
    refused(s.suppress(OWNER, ALICE, false), ErrorCode::UnknownVoiceState);
    refused(s.suppress_self(ALICE, true), ErrorCode::UnknownVoiceState);
    let lounge = s.world.channel(ChannelType::GuildVoice);
    s.to(s.alice, lounge);
    refused(s.suppress(OWNER, ALICE, false), ErrorCode::WrongChannelType);
    refused(s.suppress_self(ALICE, true), ErrorCode::WrongChannelType);
    let named = |id| ModifyCurrentVoiceState { channel_id: Some(id), suppress: Some(true), ..Default::default() };
    refused(s.own(ALICE, named(s.stage)), ErrorCode::UnknownVoiceState);
    refused(s.own(ALICE, named(ChannelId::new(5))), ErrorCode::UnknownChannel);
    s.to(s.alice, s.stage);
    refused(s.own(ALICE, named(lounge)), ErrorCode::WrongChannelType);
    assert!(s.own(ALICE, named(s.stage)).is_ok());
    refused(s.own(STRANGER, named(s.stage)), ErrorCode::MissingAccess);
    refused(s.suppress(STRANGER, ALICE, true), ErrorCode::MissingAccess);
}

#[test]
fn where_somebody_is_only_those_learn_who_see_it() {
    let mut s = Stage::new();
    refused(s.state(BOB, BOB), ErrorCode::UnknownVoiceState);
    s.to(s.alice, s.stage);
    let state = s.state(BOB, ALICE).unwrap();
    assert_eq!((state.user_id, state.channel_id, state.suppress), (ALICE, Some(s.stage), true));
    assert_eq!((state.guild_id, state.member.is_some()), (Some(s.world.guild_id()), true));
    s.world.deny_everyone(s.stage, VIEW);
    s.world.overwrite(s.stage, for_member(ALICE, VIEW, NONE));
    s.to(s.alice, s.stage);
    refused(s.state(BOB, ALICE), ErrorCode::UnknownVoiceState);
    refused(s.suppress(BOB, ALICE, true), ErrorCode::UnknownVoiceState);
    refused(s.state(STRANGER, ALICE), ErrorCode::MissingAccess);
    assert!(s.state(ALICE, ALICE).is_ok());
    let guild_id = s.world.guild_id();
    let own = s.world.ok(ALICE, Call::GetCurrentVoiceState { guild_id });
    assert!(matches!(own.reply, Reply::VoiceState(state) if state.user_id == ALICE));
}

#[test]
fn a_stage_goes_live_gets_another_topic_and_ends() {
    let mut s = Stage::new();
    refused(s.get(ALICE), ErrorCode::UnknownStageInstance);
    refused(s.rename(OWNER, "x"), ErrorCode::UnknownStageInstance);
    refused(s.end(OWNER), ErrorCode::UnknownStageInstance);
    let outcome = s.start(OWNER, "Owls at night", false).unwrap();
    assert_eq!(names_for(&outcome, s.alice), ["STAGE_INSTANCE_CREATE", "MESSAGE_CREATE"]);
    assert_eq!(names_for(&outcome, s.bot), ["STAGE_INSTANCE_CREATE"], "which the guilds intent has, and messages not");
    let Reply::StageInstance(stage) = outcome.reply else { panic!() };
    assert_eq!((stage.channel_id, &*stage.topic, stage.privacy_level), (s.stage, "Owls at night", 2));
    assert_eq!(s.get(ALICE).unwrap(), *stage);
    refused(s.start(OWNER, "again", false), ErrorCode::StageAlreadyOpen);
    let outcome = s.rename(OWNER, "Owls at dawn").unwrap();
    assert_eq!(names_for(&outcome, s.alice), ["STAGE_INSTANCE_UPDATE", "MESSAGE_CREATE"]);
    let same = s.rename(OWNER, "Owls at dawn").unwrap();
    assert!(same.dispatches.is_empty() && same.writes.is_empty());

    // It is there after a start, with the same id.
    s.world.reload();
    let kept = s.get(ALICE).unwrap();
    assert_eq!((kept.id, &*kept.topic), (stage.id, "Owls at dawn"));
    let (alice, outcome) = s.world.subscribe(ALICE, None);
    let Event::GuildCreate(guild) = &*events_for(&outcome, alice)[0] else { panic!() };
    assert_eq!(guild.stage_instances, [kept]);
    let outcome = s.end(OWNER).unwrap();
    assert_eq!(names_for(&outcome, alice), ["STAGE_INSTANCE_DELETE", "MESSAGE_CREATE"]);
    refused(s.get(ALICE), ErrorCode::UnknownStageInstance);
    s.world.reload();
    refused(s.get(ALICE), ErrorCode::UnknownStageInstance);

    let told: Vec<_> = s.world.rows.messages.values().map(|row| (row.kind, row.content.as_str())).collect();
    let wanted = [
        (MessageType::StageStart, "Owls at night"),
        (MessageType::StageTopic, "Owls at dawn"),
        (MessageType::StageEnd, "Owls at dawn"),
    ];
    assert_eq!(told, wanted);
    let logged: Vec<_> = s.world.rows.audit_log.iter().map(|e| (e.action_type, e.user_id, e.target_id)).collect();
    let actions = [action::STAGE_INSTANCE_CREATE, action::STAGE_INSTANCE_UPDATE, action::STAGE_INSTANCE_DELETE];
    assert_eq!(logged, actions.map(|action| (action, Some(OWNER), Some(stage.id.0))));
    let changes = s.world.rows.audit_log[1].changes.as_deref();
    assert_eq!(changes, Some(r#"[{"key":"topic","new_value":"Owls at dawn","old_value":"Owls at night"}]"#));
}

#[test]
fn only_moderators_of_a_stage_make_it_live() {
    let mut s = Stage::new();
    let cases = [Permissions::MANAGE_CHANNELS, MUTE, Permissions::MOVE_MEMBERS];
    for missing in cases {
        s.world.overwrite(s.stage, for_member(ALICE, MODERATOR - missing, NONE));
        refused(s.start(ALICE, "topic", false), ErrorCode::MissingPermissions);
    }
    s.world.overwrite(s.stage, for_member(ALICE, MODERATOR, Permissions::MENTION_EVERYONE));
    refused(s.start(ALICE, "topic", true), ErrorCode::MissingPermissions);
    s.start(ALICE, "topic", false).unwrap();
    refused(s.rename(BOB, "mine"), ErrorCode::MissingPermissions);
    refused(s.end(BOB), ErrorCode::MissingPermissions);
    s.world.deny_everyone(s.stage, VIEW);
    refused(s.get(BOB), ErrorCode::MissingAccess);
    refused(s.start(BOB, "mine", false), ErrorCode::MissingAccess);
    refused(s.get(STRANGER), ErrorCode::MissingAccess);
    let lounge = s.world.channel(ChannelType::GuildVoice);
    s.stage = lounge;
    refused(s.start(OWNER, "topic", false), ErrorCode::WrongChannelType);
    refused(s.get(OWNER), ErrorCode::UnknownStageInstance);
    s.stage = ChannelId::new(5);
    refused(s.start(OWNER, "topic", false), ErrorCode::UnknownChannel);
}

#[test]
fn everybody_is_told_of_a_stage_that_wants_it() {
    let mut s = Stage::new();
    let outcome = s.start(OWNER, "topic", true).unwrap();
    let mentioned = outcome.effects.iter().find_map(|effect| match effect {
        Effect::Mentioned { user_ids, .. } => Some(user_ids.clone()),
        _ => None,
    });
    assert_eq!(mentioned, Some(vec![ALICE, BOB]));
    assert!(s.world.rows.messages.values().all(|row| row.mention_everyone));
}

#[test]
fn a_stage_ends_with_its_channel_and_is_seen_as_far_as_that() {
    let mut s = Stage::new();
    s.start(OWNER, "topic", false).unwrap();
    let outcome = s.world.overwrite(s.stage, for_member(BOB, NONE, VIEW));
    assert_eq!(names_for(&outcome, s.bob), ["STAGE_INSTANCE_DELETE", "CHANNEL_DELETE"]);
    let (bob, outcome) = s.world.subscribe(BOB, None);
    let Event::GuildCreate(guild) = &*events_for(&outcome, bob)[0] else { panic!() };
    assert_eq!(guild.stage_instances, []);
    let outcome = s.world.overwrite(s.stage, for_member(BOB, VIEW, NONE));
    assert_eq!(names_for(&outcome, bob), ["CHANNEL_CREATE", "STAGE_INSTANCE_CREATE"]);
    let outcome = s.world.ok(OWNER, Call::DeleteChannel { channel_id: s.stage });
    assert_eq!(names_for(&outcome, s.alice), ["STAGE_INSTANCE_DELETE", "CHANNEL_DELETE"]);
    assert!(s.world.rows.stage_instances.is_empty());
    assert_eq!(s.world.rows.audit_log.last().map(|e| e.action_type), Some(action::STAGE_INSTANCE_DELETE));
}

#[test]
fn a_stage_takes_more_members_than_a_voice_channel() {
    let mut s = Stage::new();
    let limit = |limit| Box::new(ModifyChannel { user_limit: Patch::Set(limit), ..ModifyChannel::default() });
    s.world.ok(OWNER, Call::ModifyChannel { channel_id: s.stage, changes: limit(10_000) });
    let lounge = s.world.channel(ChannelType::GuildVoice);
    s.world.ok(OWNER, Call::ModifyChannel { channel_id: lounge, changes: limit(99) });
    let call = Call::ModifyChannel { channel_id: lounge, changes: limit(100) };
    s.world.refused(OWNER, call, ErrorCode::InvalidFormBody);
    let full = CreateChannel { user_limit: Some(1), ..channel("full", ChannelType::GuildStageVoice) };
    let full = s.world.make_channel(full).id;
    s.to(s.alice, full);
    let update = VoiceStateUpdate {
        guild_id: Some(s.world.guild_id()),
        channel_id: Some(full),
        self_mute: false,
        self_deaf: false,
        self_video: false,
    };
    refused(s.world.core.update_voice_state(s.world.now, s.bob, "voice", &update), ErrorCode::MissingPermissions);
}
