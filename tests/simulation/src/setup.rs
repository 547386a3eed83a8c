//! How a world looks before anything happens: people, bots, guilds, a DM, and what they run.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rookery_guild::{Caller, IdSource as _, Limits, create_guild};
use rookery_model::call::CreateGuild;
use rookery_model::channel::{Channel, ChannelType, Overwrite, OverwriteType};
use rookery_model::color::RoleColors;
use rookery_model::gateway::Intents;
use rookery_model::member::MemberRow;
use rookery_model::role::Role;
use rookery_model::store::{DmRow, Write};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, Permissions, RoleId, UserId};
use rookery_session::{Encoding, SessionConfig};

use crate::bus::{OwnerKey, pick};
use crate::client::Client;
use crate::env::{Env, Sizes};

/// Members beyond the people of a world that make a guild large.
const EXTRAS: u64 = 60;

/// Bounds of a world, small enough to be reached.
pub fn sizes(rng: &mut ChaCha8Rng) -> Sizes {
    let unsent_max_events = *pick(rng, &[8, 32, 1_024]);
    let session = SessionConfig {
        unsent_max_events,
        replay_max_events: unsent_max_events + rng.random_range(1..100),
        replay_acknowledged_max_events: rng.random_range(0..32),
        // A client here does in a minute what others do in a day.
        rate_events: None,
        ..SessionConfig::default()
    };
    Sizes {
        session: session.into(),
        inbox_capacity: *pick(rng, &[32, 256, 1_024]),
        mailbox_capacity: 1_024,
        in_flight_max: *pick(rng, &[3, 256]),
        subscribe_concurrency: *pick(rng, &[1, 16]),
        socket_bytes: *pick(rng, &[2_048, 32_768]),
    }
}

/// Fills the store, and returns who connects.
pub fn populate(env: &mut Env, rng: &mut ChaCha8Rng) -> Vec<Client> {
    let people = rng.random_range(5..=12);
    let users: Vec<UserId> =
        (0..people).map(|n| add_user(env, format!("user{n}"), n > 2 && rng.random_bool(0.3))).collect();
    for _ in 0..rng.random_range(1..=2) {
        add_guild(env, rng, &users);
    }
    add_dm(env, rng, users[0], users[1]);
    let mut clients = Vec::new();
    let popular = users[rng.random_range(0..users.len())];
    for user in users {
        let is_bot = env.store.users.get(&user).is_some_and(|user| user.bot);
        let count = if user == popular { rng.random_range(2..=4) } else { 1 };
        let shards = if is_bot && rng.random_bool(0.4) { 2 } else { 1 };
        for number in 0..count.max(shards) {
            let shard = (shards > 1).then_some([number % shards, shards]);
            clients.push(client(rng, clients.len(), user, is_bot, shard));
        }
    }
    clients
}

fn client(rng: &mut ChaCha8Rng, index: usize, user: UserId, is_bot: bool, shard: Option<[u32; 2]>) -> Client {
    let mut client = Client::new(index, user);
    client.shard = shard;
    client.large_threshold = rng.random_bool(0.5).then_some(*pick(rng, &[50, 250]));
    client.encoding = match rng.random_range(0..20) {
        0 | 1 => Encoding::Etf,
        2 | 3 => Encoding::Cbor,
        _ => Encoding::Json,
    };
    client.read_ms_max = *pick(rng, &[0, 0, 5, 100, 2_500]);
    if is_bot {
        let mut intents = Intents::all();
        let most = *pick(rng, &[0.0, 0.15, 0.4]);
        for intent in Intents::all().iter() {
            if rng.random_bool(most) {
                intents.remove(intent);
            }
        }
        client.intents = Some(intents);
    }
    client
}

fn next_id(env: &mut Env) -> rookery_model::Snowflake {
    // A millisecond each, so that guilds fall into different shards.
    env.now_ms += 1;
    env.next_id()
}

fn add_user(env: &mut Env, name: String, bot: bool) -> UserId {
    let id = UserId(next_id(env));
    env.store.users.insert(id, User { bot, ..User::new(id, name) });
    id
}

fn add_guild(env: &mut Env, rng: &mut ChaCha8Rng, users: &[UserId]) {
    let id = GuildId(next_id(env));
    let owner = env.store.users[&users[rng.random_range(0..3)]].clone();
    let wanted = CreateGuild {
        name: "Guild".into(),
        verification_level: None,
        default_message_notifications: None,
        explicit_content_filter: None,
        afk_timeout: None,
        system_channel_flags: None,
        roles: Vec::new(),
        channels: Vec::new(),
        system_channel_id: None,
        afk_channel_id: None,
    };
    let made = create_guild(env.now(), &Caller::new(owner.clone()), &wanted, id, env, &Limits::default());
    let (_, outcome) = made.expect("a valid guild");
    let key = OwnerKey::Guild(id);
    // The guild's own row is the last of the batch, and the others are nothing without it.
    let mut writes = outcome.writes;
    writes.rotate_right(1);
    for user in users.iter().filter(|user| **user != owner.id) {
        if rng.random_bool(0.8) {
            writes.push(Write::PutMember(member(env, id, *user)));
        }
    }
    if rng.random_bool(0.1) {
        for n in 0..EXTRAS {
            let user = add_user(env, format!("extra{n}"), false);
            writes.push(Write::PutMember(member(env, id, user)));
        }
    }
    let roles: Vec<RoleId> = (0..rng.random_range(1..=3)).map(|_| RoleId(next_id(env))).collect();
    for (role, position) in roles.iter().zip(1..) {
        let permissions = permissions(rng) | Permissions::VIEW_CHANNEL;
        writes.push(Write::PutRole { guild_id: id, role: self::role(*role, position, permissions) });
    }
    for n in 0..rng.random_range(1..=3) {
        let kind = *pick(rng, &[ChannelType::GuildText, ChannelType::GuildText, ChannelType::GuildVoice]);
        let allowed = roles[rng.random_range(0..roles.len())];
        let overwrites = [
            (RoleId(id.0), Permissions::empty(), Permissions::VIEW_CHANNEL),
            (allowed, Permissions::VIEW_CHANNEL, Permissions::empty()),
        ];
        let overwrites =
            overwrites.map(|(role, allow, deny)| Overwrite { id: role.0, kind: OverwriteType::Role, allow, deny });
        writes.push(Write::PutChannel(Channel {
            guild_id: Some(id),
            name: Some(format!("hidden{n}")),
            permission_overwrites: overwrites.to_vec(),
            ..Channel::new(ChannelId(next_id(env)), kind)
        }));
    }
    env.store.apply(Some(key), &writes, None);
}

fn add_dm(env: &mut Env, rng: &mut ChaCha8Rng, one: UserId, two: UserId) {
    let id = ChannelId(next_id(env));
    let row = DmRow { channel: Channel::new(id, ChannelType::Dm), user_ids: vec![one, two], call_message_id: None };
    let mut writes = vec![Write::PutDm(row)];
    for user_id in [one, two] {
        if rng.random_bool(0.5) {
            writes.push(Write::PutDmListing { user_id, channel_id: id });
        }
    }
    env.store.apply(Some(OwnerKey::Dm(id)), &writes, None);
}

fn member(env: &Env, guild_id: GuildId, user_id: UserId) -> MemberRow {
    MemberRow {
        guild_id,
        user_id,
        nick: None,
        avatar: None,
        roles: Vec::new(),
        joined_at: env.now(),
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    }
}

fn role(id: RoleId, position: u32, permissions: Permissions) -> Role {
    Role {
        id,
        name: format!("role{position}"),
        description: None,
        color: 0,
        colors: RoleColors::default(),
        hoist: false,
        icon: None,
        unicode_emoji: None,
        position,
        permissions,
        managed: false,
        mentionable: false,
        flags: 0,
        tags: None,
    }
}

/// Few bits, among them always those that matter.
pub fn permissions(rng: &mut ChaCha8Rng) -> Permissions {
    let of = [
        Permissions::VIEW_CHANNEL,
        Permissions::VIEW_CHANNEL,
        Permissions::SEND_MESSAGES,
        Permissions::MANAGE_ROLES,
        Permissions::MANAGE_CHANNELS,
        Permissions::MANAGE_MESSAGES,
        Permissions::MODERATE_MEMBERS,
        Permissions::READ_MESSAGE_HISTORY,
        Permissions::KICK_MEMBERS,
        Permissions::MANAGE_GUILD,
        Permissions::CONNECT,
        Permissions::MENTION_EVERYONE,
        Permissions::CREATE_INSTANT_INVITE,
        Permissions::MANAGE_NICKNAMES,
    ];
    let few = rng.random_range(0..4);
    let sum = (0..few).fold(Permissions::empty(), |sum, _| sum | *pick(rng, &of));
    if rng.random_bool(0.03) { sum | Permissions::ADMINISTRATOR } else { sum }
}
