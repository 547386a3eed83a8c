//! A guild full of people for tests and load: written straight to the store, before anybody looks at it.

use futures_util::future::try_join_all;
use rookery_model::call::{SeedReply, SeededUser};
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::color::RoleColors;
use rookery_model::guild::GuildProperties;
use rookery_model::member::MemberRow;
use rookery_model::role::{Role, RoleTags};
use rookery_model::store::{UniqueKey, Write};
use rookery_model::user::{Account, Application, User};
use rookery_model::{
    ApiError, ApplicationId, ChannelId, DeviceId, ErrorCode, GuildId, Permissions, RoleId, Timestamp, UserId, limits,
};

use super::Context;
use crate::errors::from_store;

/// Accounts whose claims and rows are on their way at once: enough to fill a group commit, within the write queue.
const CHUNK: usize = 500;

/// Makes the guild, its owner and bot, `with_tokens` members with tokens and `without_tokens` members without.
pub async fn run(cx: &Context<'_>, with_tokens: u32, without_tokens: u32) -> Result<SeedReply, ApiError> {
    let total = u64::from(with_tokens) + u64::from(without_tokens) + 2;
    if total > limits::GUILD_MEMBERS_MAX as u64 {
        return Err(ApiError::invalid_field(
            ["members"],
            "NUMBER_TYPE_MAX",
            format!("a guild holds at most {} members", limits::GUILD_MEMBERS_MAX),
        ));
    }
    let guild_id = GuildId(cx.next_id()?);
    let channel_id = ChannelId(cx.next_id()?);
    let voice_channel_id = ChannelId(cx.next_id()?);
    let owner = new_person(cx, "owner")?;
    let application_id = ApplicationId(cx.next_id()?);
    let bot = Account { verified: true, ..Account::new(bot_user(application_id)) };
    let bot_role = RoleId(cx.next_id()?);

    // The guild's own row comes last: a seed that is cut off leaves no guild that anybody can open.
    write_people(cx, guild_id, std::slice::from_ref(&owner)).await?;
    let application = new_application(application_id, owner.user.id);
    let bot_member = MemberRow { roles: vec![bot_role], ..member(guild_id, bot.user.id, cx.unix_ms) };
    let batch = vec![Write::PutApplication(application), Write::PutAccount(bot.clone()), Write::PutMember(bot_member)];
    cx.region.store.write(batch).await.map_err(from_store)?;
    let users = many(cx, guild_id, "user", with_tokens, Keep::Tokens).await?;
    many(cx, guild_id, "member", without_tokens, Keep::Nothing).await?;

    let batch = guild_rows(guild_id, owner.user.id, &bot.user, bot_role, channel_id, voice_channel_id);
    cx.region.store.write(batch).await.map_err(from_store)?;
    Ok(SeedReply {
        guild_id,
        channel_id,
        voice_channel_id,
        owner: with_token(cx, &owner)?,
        application_id,
        bot: with_token(cx, &bot)?,
        users,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Tokens,
    Nothing,
}

async fn many(
    cx: &Context<'_>,
    guild_id: GuildId,
    kind: &str,
    count: u32,
    keep: Keep,
) -> Result<Vec<SeededUser>, ApiError> {
    let mut users = Vec::with_capacity(if keep == Keep::Tokens { count as usize } else { 0 });
    let mut left = count as usize;
    while left > 0 {
        let chunk = left.min(CHUNK);
        left -= chunk;
        let people = (0..chunk).map(|_| new_person(cx, kind)).collect::<Result<Vec<_>, _>>()?;
        write_people(cx, guild_id, &people).await?;
        if keep == Keep::Tokens {
            for person in &people {
                users.push(with_token(cx, person)?);
            }
        }
    }
    Ok(users)
}

/// Claims the names, then writes accounts and memberships in one batch.
async fn write_people(cx: &Context<'_>, guild_id: GuildId, people: &[Account]) -> Result<(), ApiError> {
    let store = &cx.region.store;
    let claims = people.iter().map(|p| store.claim(UniqueKey::Username(p.user.username.clone()), p.user.id.get()));
    for claimed in try_join_all(claims).await.map_err(from_store)? {
        // The names hold the accounts' own ids, so only a name registered to mock them can stand in the way.
        claimed.map_err(|_| ApiError::from(ErrorCode::Unavailable))?;
    }
    let mut batch = Vec::with_capacity(people.len() * 2);
    for person in people {
        batch.push(Write::PutAccount(person.clone()));
        batch.push(Write::PutMember(member(guild_id, person.user.id, cx.unix_ms)));
    }
    store.write(batch).await.map_err(from_store)
}

fn new_person(cx: &Context<'_>, kind: &str) -> Result<Account, ApiError> {
    let id = UserId(cx.next_id()?);
    Ok(Account { verified: true, ..Account::new(User::new(id, format!("{kind}_{id}"))) })
}

fn bot_user(id: ApplicationId) -> User {
    User { bot: true, discriminator: "0001".into(), ..User::new(UserId::from(id), "seeded bot") }
}

fn with_token(cx: &Context<'_>, account: &Account) -> Result<SeededUser, ApiError> {
    let token = cx.region.accounts.issue(account, DeviceId(cx.next_id()?), cx.unix_ms);
    Ok(SeededUser { id: account.user.id, token })
}

fn member(guild_id: GuildId, user_id: UserId, unix_ms: u64) -> MemberRow {
    MemberRow {
        guild_id,
        user_id,
        nick: None,
        avatar: None,
        roles: Vec::new(),
        joined_at: Timestamp::from_unix_ms(unix_ms as i64),
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    }
}

fn new_application(id: ApplicationId, owner_id: UserId) -> Application {
    super::applications::new(id, "seeded bot".into(), owner_id, super::applications::HasBot::Yes)
}

fn guild_rows(
    guild_id: GuildId,
    owner_id: UserId,
    bot: &User,
    bot_role: RoleId,
    channel_id: ChannelId,
    voice_channel_id: ChannelId,
) -> Vec<Write> {
    let properties = GuildProperties {
        system_channel_id: Some(channel_id),
        ..GuildProperties::new(guild_id, "Seeded guild", owner_id)
    };
    let everyone = role(RoleId::from(guild_id), "@everyone", 0, Permissions::DEFAULT_EVERYONE);
    let managed = Role {
        managed: true,
        tags: Some(RoleTags { bot_id: Some(bot.id), integration_id: None }),
        ..role(bot_role, &bot.username, 1, Permissions::ADMINISTRATOR)
    };
    let channel = |id, kind, name: &str, position| Channel {
        guild_id: Some(guild_id),
        name: Some(name.into()),
        position,
        ..Channel::new(id, kind)
    };
    vec![
        Write::PutRole { guild_id, role: everyone },
        Write::PutRole { guild_id, role: managed },
        Write::PutChannel(channel(channel_id, ChannelType::GuildText, "general", 0)),
        Write::PutChannel(channel(voice_channel_id, ChannelType::GuildVoice, "General", 1)),
        Write::PutGuild(properties),
    ]
}

fn role(id: RoleId, name: &str, position: u32, permissions: Permissions) -> Role {
    Role {
        id,
        name: name.into(),
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
