//! What comes in bulk, guilds at the start and members, comes as fast as the client takes it and not faster.

mod common;

use common::{ALL_INTENTS, ALL_PRIVILEGED, Client, Person, World, member, role};
use rookery_core_db::Write;
use rookery_model::guild::GuildProperties;
use rookery_model::user::{Account, User};
use rookery_model::{GuildId, Permissions, RoleId, UserId};
use serde_json::{Value, json};

/// Longer than anything here takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Puts so many members into a guild, all with accounts.
async fn crowd(world: &World, guild_id: GuildId, count: u64) {
    for page in (1..=count).collect::<Vec<_>>().chunks(1_000) {
        let rows = page.iter().flat_map(|n| {
            let user = User::new(UserId::new((5_000_000 + n) << 22), format!("somebody_{n}"));
            [Write::PutMember(member(guild_id, user.id)), Write::PutAccount(Account::new(user))]
        });
        world.write(rows.collect()).await;
    }
}

/// Asks for all members and takes all chunks; how many members came.
async fn all_members(client: &mut Client, guild_id: GuildId) -> usize {
    client.send(json!({"op": 8, "d": {"guild_id": guild_id.to_string(), "query": "", "limit": 0}})).await;
    let mut members = 0;
    for index in 0u64.. {
        let chunk = client.expect("GUILD_MEMBERS_CHUNK").await;
        assert_eq!((&chunk["guild_id"], &chunk["chunk_index"]), (&json!(guild_id.to_string()), &json!(index)));
        members += chunk["members"].as_array().expect("a chunk has members").len();
        if chunk["chunk_count"] == index + 1 {
            return members;
        }
    }
    unreachable!("it ends with the last chunk")
}

#[tokio::test]
async fn all_members_of_a_large_guild_come_to_a_client_that_reads() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    crowd(&world, guild.id, 12_000).await;
    let mut client = world.online(&bot).await;
    assert_eq!(all_members(&mut client, guild.id).await, 12_002);
    // The session is as it was, and can be resumed.
    world.send(&ann, guild.channel, "hello").await.unwrap();
    let mut client = client.cut().resume(&bot.token).await;
    client.expect("MESSAGE_CREATE").await;
    client.expect("RESUMED").await;
    assert_eq!(all_members(&mut client, guild.id).await, 12_002);
}

#[tokio::test]
async fn chunks_that_were_cut_off_come_again() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    crowd(&world, guild.id, 5_998).await;
    let mut client = world.online(&bot).await;
    client.send(json!({"op": 8, "d": {"guild_id": guild.id.to_string(), "query": "", "limit": 0}})).await;
    let mut members = client.expect("GUILD_MEMBERS_CHUNK").await["members"].as_array().unwrap().len();
    let mut client = client.cut().resume(&bot.token).await;
    while members < 6_000 {
        let payload = client.payload().await;
        match payload["t"].as_str() {
            Some("GUILD_MEMBERS_CHUNK") => members += payload["d"]["members"].as_array().unwrap().len(),
            Some("RESUMED") => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(members, 6_000);
}

#[tokio::test]
async fn a_request_asks_one_guild_of_a_bot_and_each_of_a_persons_once() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guilds = [world.guild(&[&ann, &bot]).await, world.guild(&[&ann, &bot]).await];
    let ids = guilds.map(|guild| guild.id.to_string());
    let request = json!({"op": 8, "d": {"guild_id": [ids[1], ids[0], ids[0], ids[1]], "query": "", "limit": 0}});
    for (person, wanted) in [(&ann, vec![&ids[0], &ids[1]]), (&bot, vec![&ids[1]])] {
        let mut client = world.online(person).await;
        client.send(request.clone()).await;
        for id in wanted {
            assert_eq!(client.expect("GUILD_MEMBERS_CHUNK").await["guild_id"], **id);
        }
        // Whoever is not there is not waited for, and what comes next is answered: only one more chunk.
        client.send(json!({"op": 8, "d": {"guild_id": "99", "query": "", "limit": 0}})).await;
        client.send(json!({"op": 8, "d": {"guild_id": ids[0], "user_ids": [ann.id().to_string()]}})).await;
        assert_eq!(client.expect("GUILD_MEMBERS_CHUNK").await["members"].as_array().unwrap().len(), 1);
        client.beat().await;
    }
}

/// A guild whose GUILD_CREATE has some 70 KB, by its roles.
async fn large_guild(world: &World, id: u64, people: &[&Person]) -> GuildId {
    let guild_id = GuildId::new(id << 22);
    let mut rows = vec![
        Write::PutGuild(GuildProperties::new(guild_id, "large", people[0].id())),
        Write::PutRole { guild_id, role: role(RoleId::from(guild_id), Permissions::DEFAULT_EVERYONE) },
    ];
    rows.extend(
        (1..250)
            .map(|n| Write::PutRole { guild_id, role: role(RoleId::new(guild_id.get() + n), Permissions::empty()) }),
    );
    rows.extend(people.iter().map(|person| Write::PutMember(member(guild_id, person.id()))));
    world.write(rows).await;
    guild_id
}

#[tokio::test]
async fn many_large_guilds_come_to_a_client_that_reads() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let mut wanted = Vec::new();
    for n in 0..40 {
        wanted.push(large_guild(&world, 2_000_000 + n, &[&ann, &bot]).await.to_string());
    }
    let mut client = world.connect().await;
    client.identify(&bot.token, ALL_INTENTS).await;
    let mut seen = Vec::new();
    for _ in &wanted {
        let guild: Value = client.expect("GUILD_CREATE").await;
        seen.push(guild["id"].as_str().unwrap().to_owned());
    }
    seen.sort_unstable();
    assert_eq!(seen, wanted);
    client.beat().await;
}

#[tokio::test]
async fn a_bot_without_the_guilds_intent_is_subscribed_to_all_of_them() {
    const GUILD_MESSAGES: u64 = 1 << 9;
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let mut guilds = Vec::new();
    for _ in 0..40 {
        guilds.push(world.guild(&[&ann, &bot]).await);
    }
    let mut client = world.connect().await;
    client.identify(&bot.token, GUILD_MESSAGES).await;
    // No GUILD_CREATE tells when it is subscribed: the owners do.
    for guild in &guilds {
        let owner = world.region().owners.guild(guild.id).await.unwrap();
        let subscribed = async {
            while !owner.query(rookery_guild::GuildCore::has_subscribers).await.unwrap() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, subscribed).await.expect("it is subscribed in time");
    }
    for guild in &guilds {
        let id = world.send(&ann, guild.channel, "hello").await.unwrap();
        assert_eq!(client.expect("MESSAGE_CREATE").await["id"], id.to_string());
    }
}
