//! Guilds: properties, roles, members, bans, invites.

use rookery_core_db::{Store, UniqueKey, Write};
use rookery_model::color::RoleColors;
use rookery_model::guild::BanRow;
use rookery_model::invite::InviteRow;
use rookery_model::role::Role;
use rookery_model::{ChannelId, GuildId, Permissions, RoleId, Timestamp, UserId};

use crate::Factory;
use crate::sample::{guild, id_at, member, message, text_channel};

fn role(id: u64, position: u32) -> Role {
    Role {
        id: RoleId::new(id),
        name: format!("role {id}"),
        description: None,
        color: 0xff_00_ff,
        colors: RoleColors::default(),
        hoist: true,
        icon: None,
        unicode_emoji: None,
        position,
        permissions: Permissions::from_bits_retain(1 << 63),
        managed: false,
        mentionable: true,
        flags: 0,
        tags: None,
    }
}

fn ban(guild: u64, user: u64) -> BanRow {
    BanRow { guild_id: GuildId::new(guild), user_id: UserId::new(user), reason: None, created_at: Timestamp(9) }
}

fn invite(guild: u64, channel: u64, code: &str) -> InviteRow {
    InviteRow {
        code: code.into(),
        guild_id: GuildId::new(guild),
        channel_id: ChannelId::new(channel),
        inviter_id: Some(UserId::new(1)),
        uses: 0,
        max_uses: 5,
        max_age: 60,
        temporary: false,
        created_at: Timestamp(1),
    }
}

async fn put_invite(store: &Store, invite: InviteRow) {
    let key = UniqueKey::InviteCode(invite.code.clone());
    assert_eq!(store.claim(key, invite.guild_id.get()).await, Ok(Ok(())));
    store.write(vec![Write::PutInvite(invite)]).await.unwrap();
}

pub async fn a_guild_is_read_part_by_part(factory: impl Factory) {
    let store = factory.open().await;
    let id = GuildId::new(1);
    let put_role = |role: Role| Write::PutRole { guild_id: id, role };
    store
        .write(vec![Write::PutGuild(guild(1)), put_role(role(7, 1)), put_role(role(1, 0)), put_role(role(8, 2))])
        .await
        .unwrap();
    assert_eq!(store.guild(id).await, Ok(Some(guild(1))));
    assert_eq!(store.guild(GuildId::new(2)).await, Ok(None));
    assert_eq!(store.guild_roles(id).await, Ok(vec![role(1, 0), role(7, 1), role(8, 2)]));
    store.write(vec![Write::DeleteRole { guild_id: id, role_id: RoleId::new(7) }]).await.unwrap();
    assert_eq!(store.guild_roles(id).await.unwrap().len(), 2);
    assert_eq!(store.guild_roles(GuildId::new(2)).await, Ok(vec![]));
}

pub async fn members_and_bans_come_in_pages(factory: impl Factory) {
    let store = factory.open().await;
    let id = GuildId::new(1);
    let users = 1..=250_u64;
    store.write(users.clone().map(|user| Write::PutMember(member(1, user))).collect()).await.unwrap();
    store.write(users.map(|user| Write::PutBan(ban(1, user))).collect()).await.unwrap();
    store.write(vec![Write::PutMember(member(2, 3)), Write::PutBan(ban(2, 1_000))]).await.unwrap();

    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.guild_members_page(id, after, 100).await.unwrap();
        assert!(page.len() <= 100);
        let Some(last) = page.last() else { break };
        after = Some(last.user_id);
        seen.extend(page);
    }
    assert_eq!(seen, (1..=250).map(|user| member(1, user)).collect::<Vec<_>>());
    assert_eq!(store.guild_members_page(id, None, 1_000).await.unwrap().len(), 250);
    assert_eq!(store.guild_members_page(id, Some(UserId::new(249)), 1_000).await, Ok(vec![member(1, 250)]));
    assert_eq!(store.bans_page(id, Some(UserId::new(248)), 1_000).await, Ok(vec![ban(1, 249), ban(1, 250)]));
    assert_eq!(store.ban(id, UserId::new(1_000)).await, Ok(None));

    assert_eq!(store.guilds_of_user(UserId::new(3)).await, Ok(vec![GuildId::new(1), GuildId::new(2)]));
    store.write(vec![Write::DeleteMember { guild_id: id, user_id: UserId::new(3) }]).await.unwrap();
    assert_eq!(store.member(id, UserId::new(3)).await, Ok(None));
    assert_eq!(store.guilds_of_user(UserId::new(3)).await, Ok(vec![GuildId::new(2)]));
    store.write(vec![Write::DeleteBan { guild_id: id, user_id: UserId::new(4) }]).await.unwrap();
    assert_eq!(store.ban(id, UserId::new(4)).await, Ok(None));
    assert_eq!(store.ban(id, UserId::new(5)).await, Ok(Some(ban(1, 5))));
}

pub async fn invites_are_found_by_code_and_by_guild(factory: impl Factory) {
    let store = factory.open().await;
    for (channel, code) in [(10, "b"), (11, "a"), (10, "c")] {
        put_invite(&store, invite(1, channel, code)).await;
    }
    put_invite(&store, invite(2, 20, "d")).await;
    assert_eq!(store.invite("b").await, Ok(Some(invite(1, 10, "b"))));
    assert_eq!(store.invite("B").await, Ok(None));
    assert_eq!(store.invite("a\0").await, Ok(None));
    let codes = |invites: Vec<InviteRow>| invites.into_iter().map(|invite| invite.code).collect::<Vec<_>>();
    assert_eq!(codes(store.guild_invites(GuildId::new(1)).await.unwrap()), ["a", "b", "c"]);

    let release = Write::DeleteUnique { key: UniqueKey::InviteCode("b".into()), owner: 1 };
    store.write(vec![Write::DeleteInvite { guild_id: GuildId::new(1), code: "b".into() }, release]).await.unwrap();
    assert_eq!(store.invite("b").await, Ok(None));

    // A channel takes its invites along, and their codes are free again.
    let delete = Write::DeleteChannel { guild_id: Some(GuildId::new(1)), channel_id: ChannelId::new(10) };
    store.write(vec![Write::PutChannel(text_channel(1, 10)), delete]).await.unwrap();
    assert_eq!(codes(store.guild_invites(GuildId::new(1)).await.unwrap()), ["a"]);
    assert_eq!(store.invite("c").await, Ok(None));
    assert_eq!(store.claim(UniqueKey::InviteCode("c".into()), 9).await, Ok(Ok(())));
    assert_eq!(store.claim(UniqueKey::InviteCode("a".into()), 9).await, Ok(Err(1)));
}

pub async fn a_deleted_guild_is_gone_with_everything(factory: impl Factory) {
    let store = factory.open().await;
    for id in [1, 2] {
        let role = Write::PutRole { guild_id: GuildId::new(id), role: role(id, 0) };
        let sent = Write::PutMessage(message(id * 10, id_at(0, 1), "hello"));
        let channel = Write::PutChannel(text_channel(id, id * 10));
        let batch = vec![Write::PutGuild(guild(id)), role, channel, sent, Write::PutBan(ban(id, 50))];
        store.write(batch).await.unwrap();
        store.write((1..=1_500).map(|user| Write::PutMember(member(id, user))).collect()).await.unwrap();
        put_invite(&store, invite(id, id * 10, &format!("code{id}"))).await;
    }
    store.write(vec![Write::DeleteGuild(GuildId::new(1))]).await.unwrap();

    let check = async |store: &Store| {
        let (gone, user) = (GuildId::new(1), UserId::new(50));
        assert_eq!(store.guild(gone).await, Ok(None));
        assert_eq!(store.guild_channels(gone).await, Ok(vec![]));
        assert_eq!(store.channel(ChannelId::new(10)).await, Ok(None));
        assert_eq!(store.guild_roles(gone).await, Ok(vec![]));
        assert_eq!(store.guild_members_page(gone, None, 10).await, Ok(vec![]));
        assert_eq!(store.member(gone, user).await, Ok(None));
        assert_eq!(store.guilds_of_user(user).await, Ok(vec![GuildId::new(2)]));
        assert_eq!(store.ban(gone, user).await, Ok(None));
        assert_eq!(store.bans_page(gone, None, 10).await, Ok(vec![]));
        assert_eq!(store.invite("code1").await, Ok(None));
        assert_eq!(store.guild_invites(gone).await, Ok(vec![]));
        assert_eq!(store.last_message_id(ChannelId::new(10)).await, Ok(None));
        assert_eq!(store.messages_of_author(UserId::new(77), None, 10).await.unwrap().len(), 1);
        // The other guild is whole.
        assert_eq!(store.guild_members_page(GuildId::new(2), None, 2_000).await.unwrap().len(), 1_500);
        assert_eq!(store.guild_invites(GuildId::new(2)).await.unwrap().len(), 1);
        assert!(store.message(ChannelId::new(20), id_at(0, 1)).await.unwrap().is_some());
    };
    check(&store).await;
    store.close().await.unwrap();
    drop(store);

    // Also when the removal was interrupted, and in the end the codes are free.
    let store = factory.open().await;
    check(&store).await;
    crate::until("the invite's code is free", async || {
        store.unique(&UniqueKey::InviteCode("code1".into())).await.unwrap().is_none()
    })
    .await;
    check(&store).await;
}
