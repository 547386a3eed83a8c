//! Rows that cannot be understood.

use rookery_model::UserId;
use rookery_model::store::Write;

use super::{dumped, key, open, plant};
use crate::StoreError;
use crate::engine::{Engine as _, MessageRange};
use crate::fill::{self, FillPlan, fill};
use crate::tables::{Table, View as _, messages};

#[tokio::test]
async fn a_row_that_cannot_be_understood_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let channel_id = fill::channel_id(0, 0);
    let before = store.messages(channel_id, MessageRange::Latest, 101).await.unwrap();
    let victim = before[10].id;
    {
        let slot = engine.shared.db.read();
        let db = slot.as_ref().unwrap();
        let key = messages::key(channel_id, victim);
        let mut row = db.get(Table::Messages, &key).unwrap().unwrap().to_vec();
        row[0] = 9;
        db.tree(Table::Messages).insert(key.into_slice(), row).unwrap();
    }
    // The page is as long as before: a client takes a short one for the end.
    let page = engine.messages(channel_id, MessageRange::Latest, 100).await.unwrap();
    let expected: Vec<_> = before.iter().filter(|message| message.id != victim).cloned().collect();
    assert_eq!(page[..], expected);
    let page = engine.messages(channel_id, MessageRange::After(before[100].id), 100).await.unwrap();
    assert_eq!(page.len(), 99);
    assert_eq!(engine.stats().corrupt_rows, 1);
    match engine.message(channel_id, victim).await {
        Err(StoreError::Corrupt { table: "messages", reason, .. }) => assert!(reason.contains("row format 9")),
        other => panic!("{other:?}"),
    }
    let (rows, damaged) = dumped(&store).await;
    assert_eq!((rows.len(), damaged), (2_000 + 24 - 1, 1));
    // It can be deleted like any other.
    store.write(vec![Write::DeleteMessage { channel_id, message_id: victim }]).await.unwrap();
    assert_eq!(dumped(&store).await.1, 0);
}

/// Whether a read answered that a row of a table is damaged, and named its key.
fn is_corrupt<T>(answer: &Result<T, StoreError>, in_table: &str, in_key: &[u8]) -> bool {
    matches!(answer, Err(StoreError::Corrupt { table, key, .. }) if *table == in_table && *key == crate::row::hex(in_key))
}

/// A ban that is left out is lifted, and a member who is left out loses a time-out: there is no list without them.
#[tokio::test]
async fn a_damaged_ban_or_member_is_not_left_out_of_its_list() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let guild_id = fill::guild_id(0);
    let banned = store.bans_page(guild_id, None, 10).await.unwrap()[0].user_id;
    let member = store.guild_members_page(guild_id, None, 10).await.unwrap()[1].user_id;
    let ban_key = key(Table::Bans, &[guild_id.get(), banned.get()]);
    let member_key = key(Table::Members, &[guild_id.get(), member.get()]);
    plant(&engine, Table::Bans, ban_key.clone(), &[9]);
    plant(&engine, Table::Members, member_key.clone(), &[9]);

    assert!(is_corrupt(&store.bans_page(guild_id, None, 1_000).await, "bans", &ban_key));
    assert!(is_corrupt(&store.ban(guild_id, banned).await, "bans", &ban_key));
    assert!(is_corrupt(&store.guild_members_page(guild_id, None, 1_000).await, "members", &member_key));
    // Other guilds go on.
    store.bans_page(fill::guild_id(1), None, 1_000).await.unwrap();
    // Met twice, counted once.
    assert_eq!(engine.stats().corrupt_rows, 2);
}

/// An account that cannot be read is missing among others; who asks for it by name or id hears that it is damaged.
#[tokio::test]
async fn a_damaged_account_or_invite_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let (victim, guild_id) = (fill::user_id(3), fill::guild_id(0));
    let account_key = key(Table::Accounts, &[victim.get()]);
    plant(&engine, Table::Accounts, account_key.clone(), &[9]);
    let users = store.users(&[fill::user_id(2), victim, fill::user_id(4)]).await.unwrap();
    assert_eq!(users.iter().map(|user| user.id).collect::<Vec<UserId>>(), [fill::user_id(2), fill::user_id(4)]);
    assert!(is_corrupt(&store.account(victim).await, "accounts", &account_key));
    assert!(is_corrupt(&store.account_by_email("user3@example.com").await, "accounts", &account_key));

    let before = store.guild_invites(guild_id).await.unwrap();
    let code = before[0].code.clone();
    let invite_key = [key(Table::Invites, &[]), code.clone().into_bytes()].concat();
    plant(&engine, Table::Invites, invite_key.clone(), &[9]);
    assert_eq!(store.guild_invites(guild_id).await.unwrap()[..], before[1..]);
    assert!(is_corrupt(&store.invite(&code).await, "invites", &invite_key));
    assert_eq!(engine.stats().corrupt_rows, 2);
}
