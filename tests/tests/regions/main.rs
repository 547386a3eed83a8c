//! Two regions of one deployment, each with a point of presence of its own, on one store and one bus.

mod calls;
mod deployment;
#[path = "../programs/mod.rs"]
mod programs;
mod restarts;
mod sessions;
#[path = "../programs/singer.rs"]
mod singer;
#[path = "../programs/streaming.rs"]
mod streaming;
mod voice;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use rookery_tests::{Gateway, Guild, PATIENCE, Person, Process, bot_in, cluster, free_address, run, text};
use serde_json::json;

use self::deployment::{Deployment, Region, answer, answered};
use self::sessions::{hears, resume};

#[tokio::test]
async fn people_of_two_regions_talk_in_one_guild() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_talk") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    // Alice and her guild live in eu, Bob lives in us; each is on the gateway at home.
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let guild = Guild::create(&alice, "Far apart").await?;
    let mut at_eu = eu.session(&alice).await?;
    at_eu.event("GUILD_CREATE").await?;
    let mut at_us = us.session(&bob).await?;
    let invite = alice.post(&format!("/channels/{}/invites", guild.channel_id), &json!({})).await?;
    bob.post(&format!("/invites/{}", text(&invite, "code")?), &json!({})).await?;
    // Bob's owner hears of it from the guild's, and his session gets the guild from there.
    let joined = at_us.event("GUILD_CREATE").await?;
    ensure!(joined["id"] == guild.id.as_str() && joined["member_count"] == 2, "{joined}");
    at_eu.event("GUILD_MEMBER_ADD").await?;

    // Each says something through their own point of presence, and both hear all of it in the same order.
    let mut said = Vec::new();
    for round in 0..20 {
        said.push(alice.say(&guild.channel_id, &format!("from eu {round}")).await?);
        said.push(bob.say(&guild.channel_id, &format!("from us {round}")).await?);
    }
    for session in [&mut at_eu, &mut at_us] {
        for id in &said {
            let message = session.event("MESSAGE_CREATE").await?;
            ensure!(message["id"] == id.as_str(), "{message} is not {id}");
        }
    }
    let path = format!("/channels/{}/messages", guild.channel_id);
    ensure!(bob.get(&path).await? == alice.get(&path).await?);
    ensure!(bob.get("/users/@me/guilds").await?[0]["id"] == guild.id.as_str());

    // What Bob may not see does not come to him, from the moment on at which it was decided.
    let hidden = guild.hidden_channel(&alice, "hidden").await?;
    guild.show(&alice, &hidden, &bob.id).await?;
    ensure!(at_us.event("CHANNEL_CREATE").await?["id"] == hidden.as_str());
    alice.say(&hidden, "for both").await?;
    guild.hide(&alice, &hidden, &bob.id).await?;
    alice.say(&hidden, "for Alice alone").await?;
    alice.say(&guild.channel_id, "for both again").await?;
    ensure!(at_us.event("MESSAGE_CREATE").await?["content"] == "for both");
    ensure!(at_us.event("CHANNEL_DELETE").await?["id"] == hidden.as_str());
    ensure!(at_us.event("MESSAGE_CREATE").await?["content"] == "for both again");
    bob.ask(Method::GET, &format!("/channels/{hidden}/messages"), None).await?.is_error(403, 50_001)?;

    // A DM lives where it was opened; unread messages and their acknowledgement belong to the user.
    at_eu.until_message("for both again").await?;
    let dm = bob.post("/users/@me/channels", &json!({ "recipient_id": alice.id })).await?;
    let dm = text(&dm, "id")?.to_owned();
    let greeting = bob.say(&dm, "just us").await?;
    ensure!(at_eu.event("CHANNEL_CREATE").await?["id"] == dm.as_str());
    ensure!(at_eu.event("MESSAGE_CREATE").await?["id"] == greeting.as_str());
    alice.say(&dm, "hello").await?;
    ensure!(at_eu.event("MESSAGE_CREATE").await?["content"] == "hello");
    alice.post(&format!("/channels/{dm}/messages/{greeting}/ack"), &json!({})).await?;
    ensure!(at_eu.event("MESSAGE_ACK").await?["message_id"] == greeting.as_str());
    bob.post(&format!("{path}/{}/ack", said[0]), &json!({})).await?;
    ensure!(at_us.event("MESSAGE_ACK").await?["message_id"] == said[0].as_str());

    // Changes of an account are seen everywhere, and a token that is void at home is void everywhere.
    bob.patch("/users/@me", &json!({ "global_name": "Robert" })).await?;
    ensure!(at_eu.event("GUILD_MEMBER_UPDATE").await?["user"]["global_name"] == "Robert");
    let abroad = alice.at(us.api()?);
    abroad.get("/users/@me").await?;
    let mut travelling = us.session(&alice).await?;
    travelling.event("GUILD_CREATE").await?;
    alice.post("/auth/logout", &json!({})).await?;
    ensure!(travelling.closed().await? == Some(4_004));
    abroad.ask(Method::GET, "/users/@me", None).await?.is_error(401, 0)?;

    // Leaving is told too.
    bob.delete(&format!("/users/@me/guilds/{}", guild.id)).await?;
    ensure!(at_us.event("GUILD_DELETE").await?["id"] == guild.id.as_str());
    for Region { region, pop } in [us, eu] {
        ensure!(pop.terminate().await? == Some(0));
        ensure!(region.terminate().await? == Some(0));
    }
    Ok(())
}

#[tokio::test]
async fn a_region_that_is_gone_takes_nothing_with_it_but_its_own() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_gone") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let far = Guild::create(&alice, "in eu").await?;
    let near = Guild::create(&bob, "in us").await?;
    far.welcome(&alice, &bob).await?;
    let mut session = us.session(&bob).await?;
    for _ in 0..2 {
        session.event("GUILD_CREATE").await?;
    }
    let kept = alice.say(&far.channel_id, "before").await?;
    ensure!(session.event("MESSAGE_CREATE").await?["id"] == kept.as_str());

    // Carol has a DM that lives in eu.
    let carol = Person::register(us.api()?, "carol").await?;
    let mut session_of_carol = us.session(&carol).await?;
    let dm = alice.post("/users/@me/channels", &json!({ "recipient_id": carol.id })).await?;
    let dm = text(&dm, "id")?.to_owned();
    alice.say(&dm, "psst").await?;
    ensure!(session_of_carol.event("MESSAGE_CREATE").await?["content"] == "psst");

    // Read meanwhile: it is the server that ends it, and how is looked at below.
    let end_of_carols = tokio::spawn(async move { session_of_carol.closed().await });
    // Killed, as by a power cut: Bob's session goes on with his own guild, and is told that the other is away.
    eu.region.kill().await?;
    bob.say(&near.channel_id, "at home").await?;
    ensure!(session.event("MESSAGE_CREATE").await?["content"] == "at home");
    let away = session.event("GUILD_DELETE").await?;
    ensure!(away["id"] == far.id.as_str() && away["unavailable"] == true, "{away}");
    bob.say(&near.channel_id, "still").await?;
    ensure!(session.event("MESSAGE_CREATE").await?["content"] == "still");

    // Nobody of that region is left: the other takes over what it owned, with everything that was acknowledged.
    let back = session.event("GUILD_CREATE").await?;
    ensure!(back["id"] == far.id.as_str(), "{back}");
    let path = format!("/channels/{}/messages", far.channel_id);
    ensure!(answered(&bob, &path).await?[0]["id"] == kept.as_str());
    // So does whoever was at home there, by the point of presence of the other region.
    let alice = Person::new(us.api()?, &alice.id, &alice.token);
    let mut session_of_alice = us.session(&alice).await?;
    session_of_alice.event("GUILD_CREATE").await?;
    alice.say(&far.channel_id, "meanwhile").await?;
    ensure!(session.event("MESSAGE_CREATE").await?["content"] == "meanwhile");
    ensure!(session_of_alice.event("MESSAGE_CREATE").await?["content"] == "meanwhile");
    let code = end_of_carols.await??;
    ensure!(code == Some(4_000), "{code:?}: what the DM's owner said last may be missing");
    let mut session_of_carol = us.session(&carol).await?;
    ensure!(session_of_carol.ready["private_channels"][0]["id"] == dm.as_str(), "{}", session_of_carol.ready);

    // It comes back and is handed what is its own, and no session misses anything or begins anew.
    let region = deployment.start_region(0).await?;
    for content in (0..20).map(|number| format!("after {number}")) {
        alice.say(&far.channel_id, &content).await?;
        for session in [&mut session, &mut session_of_alice] {
            let [event] = session.expect(["MESSAGE_CREATE"]).await?;
            ensure!(event["content"] == content.as_str(), "{event}");
        }
    }
    alice.say(&dm, "still there?").await?;
    ensure!(session_of_carol.event("MESSAGE_CREATE").await?["content"] == "still there?");
    ensure!(us.pop.terminate().await? == Some(0));
    ensure!(us.region.terminate().await? == Some(0));
    ensure!(region.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn what_was_at_home_in_a_lost_region_goes_on_where_the_file_says() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_lost") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let guild = Guild::create(&alice, "in eu").await?;
    guild.welcome(&alice, &bob).await?;
    let kept = alice.say(&guild.channel_id, "before").await?;
    eu.region.kill().await?;
    let path = format!("/channels/{}/messages", guild.channel_id);
    bob.ask(Method::GET, &path, None).await?.is_error(503, 0)?;

    // eu is out of the file, and us has the number of its node. A third region, which is nowhere, has the rest.
    let node = |name: &str, number: u8, link: &str| {
        json!([{ "name": name, "number": number, "link": link, "gateway": format!("wss://{name}.example.org"),
                 "addresses": ["192.0.2.1"] }])
    };
    let file = json!({ "name": "test", "domain": "example.org", "bus": "nats", "default_home": "ap", "regions": [
        { "name": "us", "data_center": "us", "nats_urls": [deployment.nats.url], "retired_numbers": [1],
          "nodes": node("us-1", 2, &deployment.links[1]) },
        { "name": "ap", "data_center": "ap", "nats_urls": [deployment.nats.url],
          "nodes": node("ap-1", 3, &free_address()?) },
    ] });
    ensure!(us.region.terminate().await? == Some(0));
    std::fs::write(deployment.path("deployment.json"), file.to_string())?;
    let region = deployment.start_region(1).await?;
    ensure!(answered(&bob, &path).await?[0]["id"] == kept.as_str());
    // Alice comes to the other point of presence, and both go on.
    let alice = alice.at(us.pop.address("api")?);
    let mut session = Gateway::start(region.address("gateway")?, &alice.token, None).await?;
    ensure!(session.event("GUILD_CREATE").await?["id"] == guild.id.as_str());
    let after = bob.say(&guild.channel_id, "after").await?;
    ensure!(session.event("MESSAGE_CREATE").await?["id"] == after.as_str());
    ensure!(after.parse::<u64>()? > kept.parse::<u64>()?);
    ensure!(us.pop.terminate().await? == Some(0));
    ensure!(region.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_no_node_of_its_deployment_says_so() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = json!({
        "name": "test", "domain": "example.org", "bus": "nats",
        "regions": [{ "name": "eu", "data_center": "eu", "nats_urls": ["nats://127.0.0.1:4222"],
            "nodes": [{ "name": "eu-1", "number": 1, "link": "127.0.0.1:8082", "gateway": "wss://eu.example.org" }] }],
    });
    std::fs::write(folder.path().join("deployment.json"), file.to_string())?;
    let config = folder.path().join("region.toml");
    // The name is wrong, or the node.
    for (name, node, expected) in [("asia", "eu-1", ["asia", "one of eu"]), ("eu", "eu-2", ["eu-2", "one of eu-1"])] {
        let text = format!(
            "name = {name:?}\nnode = {node:?}\ndeployment_file = {:?}\ndata_dir = \"data\"\n",
            folder.path().join("deployment.json")
        );
        std::fs::write(&config, text)?;
        let ended =
            run(folder.path(), [Path::new("region"), Path::new("--check"), Path::new("--config"), &config]).await?;
        let said = ended.said();
        ensure!(ended.code == Some(2) && expected.iter().all(|words| said.contains(words)), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_region_makes_no_secrets_of_its_own() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let region = |name: &str, number: u8, link: &str| {
        json!({ "name": name, "data_center": name, "nats_urls": ["nats://127.0.0.1:4222"], "nodes": [
            { "name": "one", "number": number, "link": link, "gateway": format!("wss://{name}.example.org") }] })
    };
    let file = json!({ "name": "test", "domain": "example.org", "bus": "nats", "default_home": "eu",
        "regions": [region("eu", 1, "192.0.2.1:8082"), region("us", 2, "192.0.2.2:8082")] });
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("deployment.json"), file.to_string())?;
    let (ca, out) = (path("ca"), path("us"));
    ensure!(
        run(folder.path(), ["ca", "--dir", &ca, "issue", "--role", "region", "--out", &out]).await?.code == Some(0)
    );
    let text = format!(
        "name = \"us\"\nnode = \"one\"\ndeployment_file = {:?}\ndata_dir = {:?}\noperator = \"127.0.0.1:0\"\n\
         [gateway]\nlisten = \"127.0.0.1:0\"\n[link]\nlisten = \"127.0.0.1:0\"\n\
         ca_file = {:?}\ncertificate_file = {:?}\nkey_file = {:?}\n",
        path("deployment.json"),
        path("data"),
        path("us/ca.pem"),
        path("us/cert.pem"),
        path("us/key.pem"),
    );
    std::fs::write(path("region.toml"), text)?;
    let ended = run(folder.path(), ["region", "--config", &path("region.toml")]).await?;
    let said = ended.said();
    ensure!(ended.code == Some(1) && said.contains("token.key") && said.contains("region eu"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_bot_hears_its_guilds_of_every_region() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_bot") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let first = Guild::create(&alice, "in eu").await?;
    let bot = bot_in(&first, &alice, "helper", 8).await?;
    let second = Guild::create(&bob, "in us").await?;
    let authorize = format!("/oauth2/authorize?client_id={}&scope=bot&permissions=8", bot.id);
    bob.post(&authorize, &json!({ "guild_id": second.id, "authorize": true })).await?;
    // Its user lives in eu, and its session is in us.
    let intents = rookery_tests::intents::GUILDS
        | rookery_tests::intents::GUILD_MESSAGES
        | rookery_tests::intents::MESSAGE_CONTENT;
    let mut session = Gateway::start(us.region.address("gateway")?, &bot.token, Some(intents)).await?;
    let mut guilds = Vec::new();
    for _ in 0..2 {
        let guild = session.event("GUILD_CREATE").await?;
        guilds.push(guild["id"].as_str().context("an id")?.to_owned());
    }
    guilds.sort();
    let mut expected = vec![first.id.clone(), second.id.clone()];
    expected.sort();
    ensure!(guilds == expected, "{guilds:?}");
    alice.say(&first.channel_id, "ping from eu").await?;
    bob.say(&second.channel_id, "ping from us").await?;
    let mut heard = Vec::new();
    for _ in 0..2 {
        heard.push(session.event("MESSAGE_CREATE").await?["content"].to_string());
    }
    heard.sort();
    ensure!(heard == ["\"ping from eu\"", "\"ping from us\""], "{heard:?}");
    // It answers through the far point of presence.
    let answer = bot.at(us.api()?).say(&first.channel_id, "pong").await?;
    ensure!(session.event("MESSAGE_CREATE").await?["id"] == answer.as_str());
    Ok(())
}

#[tokio::test]
async fn nodes_of_a_region_share_its_owners_and_take_over_from_each_other() -> anyhow::Result<()> {
    const GUILDS: usize = 6;
    // So many that there are some of either node.
    const PEOPLE: usize = 8;
    let Some(cluster) = cluster("regions_nodes") else { return Ok(()) };
    let deployment = Deployment::prepare_as(cluster, true).await?;
    let (one, two) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(one.api()?, "alice").await?;
    let bob = Person::register(two.api()?, "bob").await?;
    let mut guilds = Vec::new();
    for number in 0..GUILDS {
        let guild = Guild::create(&alice, &format!("guild {number}")).await?;
        guild.welcome(&alice, &bob).await?;
        guilds.push(guild);
    }
    // Alice's session is at the node that goes, Bob's at the one that stays.
    let mut of_bob = two.session(&bob).await?;
    let mut of_alice = one.session(&alice).await?;
    for session in [&mut of_bob, &mut of_alice] {
        for _ in 0..GUILDS {
            session.event("GUILD_CREATE").await?;
        }
        session.forget_early();
    }
    let owned = |process: &Process| {
        let operator = process.address("operator").map(str::to_owned);
        async move {
            let metrics = reqwest::get(format!("{}/metrics", operator?)).await?.text().await?;
            let line = metrics.lines().find(|line| line.starts_with("rookery_virtual_shards_owned "));
            Ok::<f64, anyhow::Error>(line.and_then(|line| line.split(' ').next_back()).context("no figure")?.parse()?)
        }
    };
    // Of the last ones the owner may still be on its way: the store decides when.
    let owns_all = async |process: &Process| {
        let mut poll = tokio::time::interval(Duration::from_millis(100));
        let all = async {
            while owned(process).await? != 64.0 {
                poll.tick().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await.context("not all shards are owned by the node that is left")?
    };
    let (first, second) = (owned(&one.region).await?, owned(&two.region).await?);
    ensure!(first + second == 64.0 && first > 10.0 && second > 10.0, "{first} {second}");

    // Talks in all guilds; everybody hears it once, and no guild goes or comes.
    let mut number = 0;
    let mut talk = async |api: &str, sessions: &mut [&mut Gateway]| {
        let bob = Person::new(api, &bob.id, &bob.token);
        for guild in &guilds {
            number += 1;
            let content = format!("word {number}");
            let path = format!("/channels/{}/messages", guild.channel_id);
            answer(&bob, Method::POST, &path, Some(&json!({ "content": content }))).await?;
            for session in &mut *sessions {
                hears(session, &content).await?;
            }
        }
        anyhow::Ok(())
    };
    talk(two.api()?, &mut [&mut of_bob, &mut of_alice]).await?;

    // It ends on purpose: the other has everything, and Alice comes back to a session that missed nothing.
    let ending = tokio::spawn(one.region.terminate());
    while of_alice.payload().await?["op"] != 7 {}
    let left = of_alice.leave_for_now().await?;
    ensure!(ending.await?? == Some(0));
    owns_all(&two.region).await?;
    talk(two.api()?, &mut [&mut of_bob]).await?;
    let again = deployment.start_region(0).await?;
    let mut of_alice = resume(&left).await?;
    for word in GUILDS + 1..=2 * GUILDS {
        hears(&mut of_alice, &format!("word {word}")).await?;
    }
    talk(two.api()?, &mut [&mut of_bob, &mut of_alice]).await?;

    // It dies: what it owned is the other's when its lease is over, with everything that was acknowledged. Whoever comes
    // meanwhile waits for it, and has READY on the same connection.
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(Person::register(two.api()?, &format!("carol{number}")).await?);
    }
    again.kill().await?;
    futures_util::future::try_join_all(people.iter().map(|person| two.session(person)))
        .await
        .with_context(|| two.region.log())?;
    let bob = Person::new(two.api()?, &bob.id, &bob.token);
    for guild in &guilds {
        let path = format!("/channels/{}/messages", guild.channel_id);
        let body = json!({ "content": "who is there?" });
        answer(&bob, Method::POST, &path, Some(&body)).await?;
        let history = answered(&bob, &path).await?;
        ensure!(history.as_array().is_some_and(|all| all.len() >= 4), "{history}");
    }
    owns_all(&two.region).await?;
    for process in [one.pop, two.pop, two.region] {
        ensure!(process.terminate().await? == Some(0));
    }
    Ok(())
}
