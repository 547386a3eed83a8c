//! People who stream in a voice channel, and who watch, with sessions and voice connections of their own.

use std::path::Path;

use rookery_tests::{Gateway, Person, Process, VoiceClient, VoicePlace, text};
use serde_json::{Value, json};

/// Opcodes of the main gateway.
const STREAM_CREATE: u8 = 18;
const STREAM_WATCH: u8 = 20;

/// Where somebody streams.
pub struct Theatre<'a> {
    /// Whom the voice nodes' certificates are of.
    pub ca_file: &'a Path,
    pub guild: &'a str,
    pub channel: &'a str,
}

impl Theatre<'_> {
    /// The name of somebody's stream.
    pub fn key(&self, streamer: &Person) -> String {
        format!("guild:{}:{}:{}", self.guild, self.channel, streamer.id)
    }
}

/// Somebody who streams, or watches, with a session and a voice connection for it.
pub struct Streaming<'a> {
    pub session: Gateway,
    place: VoicePlace,
    pub client: VoiceClient,
    ca_file: &'a Path,
}

impl<'a> Streaming<'a> {
    /// Streams.
    pub async fn create(theatre: &Theatre<'a>, region: &Process, person: &Person) -> anyhow::Result<Self> {
        let Theatre { guild, channel, .. } = theatre;
        let create = json!({ "type": "guild", "guild_id": guild, "channel_id": channel, "preferred_region": null });
        let mut streamer = Self::start(theatre, region, person, (STREAM_CREATE, create)).await?;
        streamer.client.show().await?;
        Ok(streamer)
    }

    /// Watches another one's stream.
    pub async fn watch(
        theatre: &Theatre<'a>,
        region: &Process,
        person: &Person,
        streamer: &Person,
    ) -> anyhow::Result<Self> {
        let watch = json!({ "stream_key": theatre.key(streamer) });
        Self::start(theatre, region, person, (STREAM_WATCH, watch)).await
    }

    async fn start(
        theatre: &Theatre<'a>,
        region: &Process,
        person: &Person,
        (op, d): (u8, Value),
    ) -> anyhow::Result<Self> {
        let Theatre { ca_file, guild, channel } = *theatre;
        let mut session = Gateway::start(region.address("gateway")?, &person.token, None).await?;
        let join = json!({ "guild_id": guild, "channel_id": channel, "self_mute": true, "self_deaf": false });
        session.send(&json!({ "op": 4, "d": join })).await?;
        let state = loop {
            let state = session.event("VOICE_STATE_UPDATE").await?;
            if state["user_id"] == person.id.as_str() {
                break state;
            }
        };
        session.send(&json!({ "op": op, "d": d })).await?;
        let created = session.event("STREAM_CREATE").await?;
        let place = VoicePlace::of_stream(&created, &person.id, text(&state, "session_id")?)?;
        let client = Self::connect(&mut session, ca_file, &place).await?;
        Ok(Self { session, place, client, ca_file })
    }

    /// Goes where it is told to.
    pub async fn moves(&mut self) -> anyhow::Result<()> {
        self.client = Self::connect(&mut self.session, self.ca_file, &self.place).await?;
        Ok(())
    }

    async fn connect(session: &mut Gateway, ca_file: &Path, place: &VoicePlace) -> anyhow::Result<VoiceClient> {
        loop {
            let server = session.event("STREAM_SERVER_UPDATE").await?;
            // While there is no node another one of these follows.
            if server["endpoint"].is_string() {
                return VoiceClient::connect(&server, ca_file, place).await;
            }
        }
    }
}

/// Both go where they are told to, and one sees what the other shows there.
pub async fn sees_again(viewer: &mut Streaming<'_>, streamer: &mut Streaming<'_>, mark: u8) -> anyhow::Result<()> {
    let (came, shows) = tokio::join!(viewer.moves(), async {
        streamer.moves().await?;
        streamer.client.show().await
    });
    came?;
    shows?;
    viewer.client.sees_from(&mut streamer.client, mark).await?;
    Ok(())
}
