//! A region's process ends and begins again, and sessions go on.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use rookery_tests::{Arrival, Gateway, Guild, Person, bot_in, cluster, text};
use serde_json::json;

use crate::deployment::{Deployment, answer};
use crate::sessions::{INTENTS, LAST_WORDS, hears, is_about_connections, next, resume};

#[tokio::test]
async fn a_region_restarts_and_sessions_of_owners_elsewhere_go_on() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_restart") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let guild = Guild::create(&alice, "in eu").await?;
    guild.welcome(&alice, &bob).await?;
    let bot = bot_in(&guild, &alice, "helper", 8).await?;
    let dm = alice.post("/users/@me/channels", &json!({ "recipient_id": bob.id })).await?;
    let dm = text(&dm, "id")?.to_owned();
    alice.say(&dm, "the first").await?;
    // All sessions are in us. The bot's and Alice's users live in eu, Bob's in us; the guild and the DM live in eu.
    let mut of_bob = us.session(&bob).await?;
    let mut of_alice = us.session(&alice).await?;
    let mut of_bot = Gateway::start(us.region.address("gateway")?, &bot.token, Some(INTENTS)).await?;
    for session in [&mut of_bob, &mut of_alice, &mut of_bot] {
        session.forget_early();
    }
    alice.say(&guild.channel_id, "before").await?;
    for session in [&mut of_bob, &mut of_alice, &mut of_bot] {
        hears(session, "before").await?;
    }

    let ending = tokio::spawn(us.region.terminate());
    let mut left = Vec::new();
    for mut session in [of_bob, of_alice, of_bot] {
        loop {
            let payload = session.payload().await?;
            if payload["op"] == 7 {
                break;
            }
            ensure!(payload["t"].as_str().is_none_or(is_about_connections), "{payload}");
        }
        left.push(session.leave_for_now().await?);
    }
    ensure!(ending.await?? == Some(0));
    alice.say(&guild.channel_id, "meanwhile").await?;
    alice.say(&dm, "between us").await?;
    alice.say(&guild.channel_id, "and again").await?;
    let region = deployment.start_region(1).await?;
    let mut sessions = Vec::new();
    for session in &left {
        sessions.push(resume(session).await?);
    }
    // Everything comes once and in its order, and no guild was away.
    for (session, hears_dm) in sessions.iter_mut().zip([true, true, false]) {
        let mut heard = Vec::new();
        for _ in 0..if hears_dm { 3 } else { 2 } {
            let (name, data) = next(session).await.with_context(|| format!("after {heard:?}"))?;
            ensure!(name == "MESSAGE_CREATE", "{name} {data} after {heard:?}");
            heard.push(data["content"].as_str().context("a content")?.to_owned());
        }
        // The guild and the DM have an order each.
        let dm = heard.iter().position(|content| content == "between us");
        ensure!(dm.is_some() == hears_dm, "{heard:?}");
        heard.retain(|content| content != "between us");
        ensure!(heard == ["meanwhile", "and again"], "{heard:?}");
    }
    // They are subscribed as before.
    let after = alice.say(&guild.channel_id, "after").await?;
    for session in &mut sessions {
        hears(session, "after").await?;
    }
    let ack = format!("/channels/{}/messages/{after}/ack", guild.channel_id);
    answer(&bob, Method::POST, &ack, Some(&json!({}))).await?;
    ensure!(next(&mut sessions[0]).await?.1["message_id"] == after.as_str());
    // One that is over by now is so for the owners in eu too: nothing holds up the rest.
    drop(sessions.remove(0));
    alice.say(&dm, "still there").await?;
    hears(&mut sessions[0], "still there").await?;
    for process in [us.pop, region, eu.pop, eu.region] {
        ensure!(process.terminate().await? == Some(0));
    }
    Ok(())
}

/// Contents of all messages up to the last words, over as many connections as it takes; no guild goes or comes.
async fn follow(mut gateway: Gateway) -> anyhow::Result<Vec<String>> {
    let mut contents = Vec::new();
    loop {
        match gateway.next().await? {
            Arrival::Payload(payload) => match (payload["op"].as_u64(), payload["t"].as_str()) {
                (Some(0), Some("MESSAGE_CREATE")) => {
                    let content = payload["d"]["content"].as_str().context("a message has a content")?;
                    if content == LAST_WORDS {
                        return Ok(contents);
                    }
                    contents.push(content.to_owned());
                }
                (Some(0), Some(name)) => ensure!(is_about_connections(name), "{payload} after {contents:?}"),
                (Some(7), _) => gateway = resume(&gateway.leave_for_now().await?).await?,
                (Some(9), _) => bail!("the session is lost after {contents:?}"),
                _ => {}
            },
            Arrival::Closed(_) => gateway = resume(&gateway).await?,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_restarts_under_load_and_nobody_misses_or_repeats_anything() -> anyhow::Result<()> {
    const PEOPLE: usize = 6;
    const RESTARTS: usize = 2;
    let Some(cluster) = cluster("regions_load") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let guild = Guild::create(&alice, "in eu").await?;
    let bot = bot_in(&guild, &alice, "helper", 8).await?;
    let mut sessions = vec![Gateway::start(us.region.address("gateway")?, &bot.token, Some(INTENTS)).await?];
    for n in 0..PEOPLE {
        // Some live there, some here.
        let api = if n % 2 == 0 { us.api()? } else { eu.api()? };
        let person = Person::register(api, &format!("person{n}")).await?;
        guild.welcome(&alice, &person).await?;
        for _ in 0..2 {
            sessions.push(us.session(&person).await?);
        }
    }
    // All joins are past.
    alice.say(&guild.channel_id, "it begins").await?;
    for session in &mut sessions {
        session.until_message("it begins").await?;
    }
    let following: Vec<_> = sessions.into_iter().map(|session| tokio::spawn(follow(session))).collect();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (count, mut counted) = tokio::sync::watch::channel(0);
    let (speaker, path) = (alice.at(eu.api()?), format!("/channels/{}/messages", guild.channel_id));
    let talking = tokio::spawn(async move {
        let mut said = Vec::new();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while !*stopped.borrow() {
            pace.tick().await;
            let content = format!("number {}", said.len());
            // A database on a busy machine has a 503 now and then: nothing was done.
            answer(&speaker, Method::POST, &path, Some(&json!({ "content": content }))).await?;
            said.push(content);
            count.send_replace(said.len());
        }
        anyhow::Ok(said)
    });
    let mut region = us.region;
    for _ in 0..RESTARTS {
        let before = *counted.borrow();
        counted.wait_for(|count| *count >= before + 20).await?;
        ensure!(region.terminate().await? == Some(0), "it does not end well");
        // What is said while nobody is there counts too.
        let before = *counted.borrow();
        counted.wait_for(|count| *count >= before + 20).await?;
        region = deployment.start_region(1).await?;
    }
    let before = *counted.borrow();
    counted.wait_for(|count| *count >= before + 20).await?;
    stop.send_replace(true);
    let said = talking.await??;
    alice.say(&guild.channel_id, LAST_WORDS).await?;
    for (n, session) in following.into_iter().enumerate() {
        let heard = session.await?.with_context(|| format!("session {n}; the log of us:\n{}", region.log()))?;
        ensure!(heard == said, "session {n} heard {heard:?}, said was {said:?}");
    }
    for process in [us.pop, region, eu.pop, eu.region] {
        ensure!(process.terminate().await? == Some(0));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_region_kept_for_another_ends_with_its_process() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_unkept") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let guild = Guild::create(&alice, "in eu").await?;
    guild.welcome(&alice, &bob).await?;
    let bot = bot_in(&guild, &alice, "helper", 8).await?;
    let mut of_bob = us.session(&bob).await?;
    of_bob.forget_early();
    let mut of_bot = Gateway::start(us.region.address("gateway")?, &bot.token, Some(INTENTS)).await?;
    of_bot.forget_early();
    let (of_bob, of_bot) = (of_bob.leave_for_now().await?, of_bot.leave_for_now().await?);
    ensure!(us.region.terminate().await? == Some(0));
    alice.say(&guild.channel_id, "nobody keeps this").await?;
    eu.region.kill().await?;
    let eu_again = deployment.start_region(0).await?;
    let us_again = deployment.start_region(1).await?;
    // Bob learns that the guild was away, and gets it anew; the bot, whose user lives there, starts anew.
    let mut of_bob = resume(&of_bob).await?;
    let (name, away) = next(&mut of_bob).await?;
    ensure!(name == "GUILD_DELETE" && away["unavailable"] == true, "{name} {away}");
    let (name, back) = next(&mut of_bob).await?;
    ensure!(name == "GUILD_CREATE" && back["id"] == guild.id.as_str(), "{name} {back}");
    let mut of_bot = resume(&of_bot).await?;
    loop {
        match of_bot.next().await? {
            Arrival::Payload(payload) if payload["op"] == 9 => break,
            Arrival::Payload(payload) => ensure!(payload["t"] == "RESUMED", "{payload}"),
            // It was taken up before eu said that it keeps nothing.
            Arrival::Closed(code) => break ensure!(code == Some(4_000), "{code:?}"),
        }
    }
    let path = format!("/channels/{}/messages", guild.channel_id);
    answer(&bob, Method::POST, &path, Some(&json!({ "content": "after" }))).await?;
    ensure!(of_bob.event("MESSAGE_CREATE").await?["content"] == "after");
    for process in [us.pop, us_again, eu.pop, eu_again] {
        ensure!(process.terminate().await? == Some(0));
    }
    Ok(())
}
