//! Rows that cannot be understood.

use rookery_model::guild::BanRow;
use rookery_model::member::MemberRow;
use rookery_model::store::Write;
use rookery_model::{ChannelId, GuildId, Timestamp, UserId};

use super::{id_at, message, shared_store, write};
use crate::StoreError;
use crate::engine::{Engine as _, MessageRange};

fn member(guild_id: GuildId, user_id: UserId) -> MemberRow {
    MemberRow {
        guild_id,
        user_id,
        nick: None,
        avatar: None,
        roles: Vec::new(),
        joined_at: Timestamp(0),
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_is_left_out_of_pages_and_named_when_it_is_asked_for() {
    let Some((engine, config)) = shared_store().await else { return };
    let (guild, user, channel) = (GuildId::new(1_007), UserId::new(1_008), ChannelId::new(1_009));
    write(&engine, (1..=3).map(|n| Write::PutMessage(message(1_009, id_at(n), "text"))).collect()).await;
    let member = |n| Write::PutMember(member(guild, UserId::new(n)));
    let ban = |n| {
        let (reason, created_at) = (None, Timestamp(0));
        Write::PutBan(BanRow { guild_id: guild, user_id: UserId::new(n), reason, created_at })
    };
    write(&engine, [1, 3].into_iter().flat_map(|n| [member(n), ban(n)]).collect()).await;
    let damage = [
        ("messages", "embeds = 0xff", format!("channel_id = 1009 AND bucket = 0 AND message_id = {}", id_at(2).get())),
        // Rows of which the other columns are missing.
        ("members", "nick = 'x'", "guild_id = 1007 AND user_id = 2".to_owned()),
        ("bans", "reason = 'x'", "guild_id = 1007 AND user_id = 2".to_owned()),
        ("read_states", "last_message_id = 5", "user_id = 1008 AND channel_id = 2".to_owned()),
    ];
    for (table, set, of) in damage {
        let at = engine.shared().clock.take(1);
        let update = format!("UPDATE {}.{table} USING TIMESTAMP {at} SET {set} WHERE {of}", config.keyspace);
        engine.shared().calls.session.query_unpaged(update, ()).await.unwrap();
    }
    let ids = async |range, limit| {
        let page = engine.messages(channel, range, limit).await.unwrap().to_vec();
        page.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(MessageRange::Latest, 2).await, [id_at(3), id_at(1)]);
    assert_eq!(ids(MessageRange::After(id_at(1)), 1).await, [id_at(3)]);
    assert!(matches!(engine.message(channel, id_at(2)).await, Err(StoreError::Corrupt { table: "messages", .. })));

    let users = |rows: Vec<MemberRow>| rows.into_iter().map(|row| row.user_id.get()).collect::<Vec<_>>();
    assert_eq!(users(engine.guild_members_page(guild, None, 2).await.unwrap()), [1, 3]);
    assert_eq!(users(engine.guild_members_page(guild, Some(UserId::new(1)), 1).await.unwrap()), [3]);
    let corrupt = engine.member(guild, UserId::new(2)).await;
    assert!(matches!(corrupt, Err(StoreError::Corrupt { table: "members", .. })), "{corrupt:?}");
    assert_eq!(engine.bans_page(guild, None, 2).await.unwrap().len(), 2);
    assert_eq!(engine.read_states(user).await, Ok(vec![]));
    assert_eq!(engine.stats().corrupt_rows, 4, "each is counted once");
}
