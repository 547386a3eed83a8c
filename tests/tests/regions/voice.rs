//! Voice over two regions.

use std::path::Path;

use anyhow::ensure;
use rookery_tests::{Guild, Person, Process, bot_in, cluster, run, text};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::deployment::{Deployment, NAMES, Region};
use crate::programs::skipped;
use crate::singer::{Singer, Stage, sessions};
use crate::streaming::{Streaming, Theatre, sees_again};

/// A voice node of a region.
async fn voice(deployment: &Deployment, index: usize) -> anyhow::Result<Process> {
    let (certificate, key) = (deployment.path("voice").join("cert.pem"), deployment.path("voice").join("key.pem"));
    let (region, number) = (NAMES[index], index + 1);
    let config = deployment.config(
        &format!("{region}-voice-config"),
        &format!(
            "operator = \"127.0.0.1:0\"\nregion = {region:?}\nnode = \"voice\"\ncertificate_file = {certificate:?}\n\
             key_file = {key:?}\n[bus]\nkind = \"nats\"\ndeployment = \"test\"\nurls = [{:?}]\n[voice]\n\
             gateway = \"127.0.0.1:0\"\nnode = {number}\n",
            deployment.nats.url
        ),
    )?;
    let base = deployment.path(&format!("{region}-voice"));
    Process::start(&base, [Path::new("sfu"), Path::new("--config"), &config]).await
}

#[tokio::test]
async fn members_in_two_regions_are_each_at_a_node_near_them_and_hear_each_other() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let Some(cluster) = cluster("regions_voice") else { return Ok(()) };
    let deployment = Deployment::prepare(cluster).await?;
    let (ca, out) = (deployment.path("ca").display().to_string(), deployment.path("voice").display().to_string());
    let args = ["ca", "--dir", &ca, "issue", "--role", "https", "--out", &out, "--name", "127.0.0.1"];
    let ended = run(deployment.folder.path(), args).await?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let (eu, us) = (deployment.start(0).await?, deployment.start(1).await?);
    let alice = Person::register(eu.api()?, "alice").await?;
    let guild = Guild::create(&alice, "Choir").await?;
    let made = json!({ "name": "loft", "type": 2 });
    let channel = alice.post(&format!("/guilds/{}/channels", guild.id), &made).await?;
    let channel = text(&channel, "id")?;
    let nodes = [voice(&deployment, 0).await?, voice(&deployment, 1).await?];

    // The guild and both bots live in eu; one of them is on the gateway of us.
    let ca_file = deployment.path("voice").join("ca.pem");
    let mut singers = Vec::new();
    for (name, hertz, region) in [("Low", 440, &eu), ("High", 880, &us)] {
        let bot = bot_in(&guild, &alice, name, 8).await?;
        let (api, gateway) = (region.api()?, region.region.address("gateway")?);
        let stage = Stage { api, gateway, ca_file: &ca_file, guild: &guild.id, channel };
        singers.push(Singer::start(&stage, &bot, hertz)?);
    }
    let ids: Vec<String> = singers.iter().map(|singer| singer.id.clone()).collect();
    for (singer, other) in singers.iter_mut().zip(ids.iter().rev()) {
        singer.hears(other).await?;
    }
    for node in &nodes {
        ensure!(sessions(node).await? == 1, "they are not at a node each");
    }

    // A channel that says where its room is has everybody there.
    alice.patch(&format!("/channels/{channel}"), &json!({ "rtc_region": "us" })).await?;
    for (singer, other) in singers.iter_mut().zip(ids.iter().rev()) {
        singer.lines.find("that it hears the other", |line| (line["heard"] == other.as_str()).then_some(())).await?;
    }
    let moved = async {
        while (sessions(&nodes[0]).await?, sessions(&nodes[1]).await?) != (0, 2) {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(rookery_tests::PATIENCE, moved).await??;
    for (singer, other) in singers.iter_mut().zip(ids.iter().rev()) {
        singer.hears(other).await?;
    }
    drop(singers);

    // She streams from a session in eu to one in us, where the channel is, and the stream moves with the channel.
    let bob = Person::register(us.api()?, "bob").await?;
    guild.welcome(&alice, &bob).await?;
    let theatre = Theatre { ca_file: &ca_file, guild: &guild.id, channel };
    let mut streamer = Streaming::create(&theatre, &eu.region, &alice).await?;
    let mut viewer = Streaming::watch(&theatre, &us.region, &bob, &alice).await?;
    viewer.client.sees_from(&mut streamer.client, 1).await?;
    alice.patch(&format!("/channels/{channel}"), &json!({ "rtc_region": "eu" })).await?;
    sees_again(&mut viewer, &mut streamer, 2).await?;
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    viewer.session.send_raw(Message::Close(Some(normal))).await?;
    let watched = async {
        loop {
            let update = streamer.session.event("STREAM_UPDATE").await?;
            if update["viewer_ids"] == json!([]) {
                return anyhow::Ok(());
            }
        }
    };
    watched.await?;
    drop((streamer, viewer));
    for node in nodes {
        ensure!(node.terminate().await? == Some(0));
    }
    for Region { region, pop } in [us, eu] {
        ensure!(pop.terminate().await? == Some(0));
        ensure!(region.terminate().await? == Some(0));
    }
    Ok(())
}
