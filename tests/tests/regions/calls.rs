//! A call between two regions: its DM lives in one of them, and each is on the gateway at home.

use std::time::{Duration, Instant};

use anyhow::ensure;
use rookery_tests::{Arrival, Gateway, PATIENCE, Person, cluster, text};
use serde_json::{Value, json};

use super::deployment::{Deployment, Region, answered};

async fn join(session: &mut Gateway, dm: Option<&str>) -> anyhow::Result<()> {
    session.send(&json!({ "op": 4, "d": { "guild_id": null, "channel_id": dm } })).await
}

/// Hears that somebody is in the call, or out of it.
async fn hears(session: &mut Gateway, who: &Person, dm: Option<&str>) -> anyhow::Result<()> {
    let state = session.event("VOICE_STATE_UPDATE").await?;
    ensure!(state["user_id"] == who.id.as_str() && state["channel_id"] == json!(dm), "{state}");
    Ok(())
}

/// The message of a call when it is over; none if the session is ended before, as what the DM's owner said last may be
/// missing. Which comes first is open.
async fn hears_end(session: &mut Gateway, dm: &str) -> anyhow::Result<Option<Value>> {
    let mut ended = None;
    loop {
        match session.next().await? {
            Arrival::Payload(payload) if payload["t"] == "MESSAGE_UPDATE" => {
                ended = Some(payload["d"].clone()).filter(|message| message["call"]["ended_timestamp"].is_string());
            }
            Arrival::Payload(payload) if payload["t"] == "CALL_DELETE" => {
                ensure!(payload["d"] == json!({ "channel_id": dm }) && ended.is_some(), "{payload}, after {ended:?}");
                return Ok(ended);
            }
            Arrival::Payload(_) => {}
            Arrival::Closed(code) => {
                ensure!(code == Some(4_000), "{code:?}");
                return Ok(None);
            }
        }
    }
}

/// The same for somebody who begins anew: nothing of a call is there, and the history says that it is over.
async fn sees_end(us: &Region, who: &Person, dm: &str) -> anyhow::Result<Value> {
    let mut session = us.session(who).await?;
    session.send(&json!({ "op": 13, "d": { "channel_id": dm } })).await?;
    let began = Instant::now();
    let mut poll = tokio::time::interval(Duration::from_millis(50));
    loop {
        poll.tick().await;
        let page = answered(who, &format!("/channels/{dm}/messages")).await?;
        if page[0]["call"]["ended_timestamp"].is_string() {
            return Ok(page[0].clone());
        }
        ensure!(began.elapsed() < PATIENCE, "{page}");
    }
}

/// Somebody shows their screen to a person whose session is in another region.
async fn watched(
    streamer: &mut Gateway,
    viewer: &mut Gateway,
    by: &Person,
    to: &Person,
    dm: &str,
) -> anyhow::Result<()> {
    let key = format!("call:{dm}:{}", by.id);
    streamer.send(&json!({ "op": 18, "d": { "type": "call", "guild_id": null, "channel_id": dm } })).await?;
    ensure!(streamer.event("STREAM_CREATE").await?["stream_key"] == key.as_str());
    for session in [&mut *streamer, &mut *viewer] {
        hears(session, by, Some(dm)).await?;
    }
    viewer.send(&json!({ "op": 20, "d": { "stream_key": key } })).await?;
    let created = viewer.event("STREAM_CREATE").await?;
    ensure!(created["stream_key"] == key.as_str() && created["viewer_ids"] == json!([to.id]), "{created}");
    ensure!(streamer.event("STREAM_UPDATE").await?["viewer_ids"] == json!([to.id]));
    for session in [streamer, viewer] {
        let server = session.event("STREAM_SERVER_UPDATE").await?;
        ensure!(server["stream_key"] == key.as_str() && server["endpoint"] == Value::Null, "{server}");
    }
    Ok(())
}

#[tokio::test]
async fn people_of_two_regions_call_each_other() -> anyhow::Result<()> {
    let Some(cluster) = cluster("regions_call") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let bob = Person::register(us.api()?, "bob").await?;
    let dm = alice.post("/users/@me/channels", &json!({ "recipient_id": bob.id })).await?;
    let dm = text(&dm, "id")?.to_owned();
    let (mut at_eu, mut at_us) = (eu.session(&alice).await?, us.session(&bob).await?);

    // Who is elsewhere begins it, rings, and is told where to go: nowhere yet, as there is no voice node.
    join(&mut at_us, Some(&dm)).await?;
    for session in [&mut at_eu, &mut at_us] {
        ensure!(session.event("MESSAGE_CREATE").await?["call"]["participants"] == json!([bob.id]));
        ensure!(session.event("CALL_CREATE").await?["channel_id"] == dm.as_str());
        hears(session, &bob, Some(&dm)).await?;
    }
    let server = at_us.event("VOICE_SERVER_UPDATE").await?;
    ensure!(server["channel_id"] == dm.as_str() && server["endpoint"] == Value::Null, "{server}");
    bob.post(&format!("/channels/{dm}/call/ring"), &json!({})).await?;
    ensure!(at_eu.event("CALL_UPDATE").await?["ringing"] == json!([alice.id]));
    let mut travelling = us.session(&alice).await?;
    travelling.send(&json!({ "op": 13, "d": { "channel_id": dm } })).await?;
    let known = travelling.event("CALL_CREATE").await?;
    ensure!(known["ringing"] == json!([alice.id]), "{known}");
    ensure!(known["voice_states"][0]["user_id"] == bob.id.as_str(), "{known}");
    join(&mut at_eu, Some(&dm)).await?;
    hears(&mut at_us, &alice, Some(&dm)).await?;

    // His session ends, and so does the next one with its region; with each what it showed.
    let normal = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::Normal,
        reason: "".into(),
    };
    hears(&mut at_eu, &alice, Some(&dm)).await?;
    watched(&mut at_us, &mut at_eu, &bob, &alice, &dm).await?;
    let key = format!("call:{dm}:{}", bob.id);
    travelling.send(&json!({ "op": 20, "d": { "stream_key": key } })).await?;
    ensure!(
        travelling.event("STREAM_DELETE").await?["reason"] == "unauthorized",
        "by that session she is not in the call"
    );
    at_us.send_raw(tokio_tungstenite::tungstenite::Message::Close(Some(normal))).await?;
    hears(&mut at_eu, &bob, None).await?;
    ensure!(at_eu.event("STREAM_DELETE").await?["reason"] == "stream_ended");
    let mut at_us = us.session(&bob).await?;
    join(&mut at_us, Some(&dm)).await?;
    for session in [&mut at_us, &mut at_eu] {
        hears(session, &bob, Some(&dm)).await?;
    }
    watched(&mut at_us, &mut at_eu, &bob, &alice, &dm).await?;
    us.region.kill().await?;
    hears(&mut at_eu, &bob, None).await?;
    ensure!(at_eu.event("STREAM_DELETE").await?["reason"] == "stream_ended");

    // The process ends in which the DM lives: who is in the call elsewhere learns that it is over.
    let region = deployment.start_region(1).await?;
    let us = Region { region, pop: us.pop };
    let mut at_us = us.session(&bob).await?;
    join(&mut at_us, Some(&dm)).await?;
    hears(&mut at_us, &bob, Some(&dm)).await?;
    eu.region.kill().await?;
    let region = deployment.start_region(0).await?;
    let ended = match hears_end(&mut at_us, &dm).await? {
        Some(ended) => ended,
        None => sees_end(&us, &bob, &dm).await?,
    };
    ensure!(ended["call"]["participants"] == json!([bob.id, alice.id]), "{ended}");
    for process in [us.pop, us.region, eu.pop, region] {
        ensure!(process.terminate().await? == Some(0));
    }
    Ok(())
}
