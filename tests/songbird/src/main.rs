//! The bot of the acceptance tests with unmodified songbird: it says a tone in a voice channel, and tells which tones it
//! hears of whom.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use serenity::all::{ChannelId, Context, EventHandler, GatewayIntents, Guild, GuildId, HttpBuilder, Ready};
use serenity::async_trait;
use songbird::driver::{Channels, CryptoMode, DecodeConfig, DecodeMode, SampleRate};
use songbird::input::{Input, RawAdapter};
use songbird::model::payload::Speaking;
use songbird::{Config, CoreEvent, Event, EventContext, SerenityInit as _};
// Named for its features alone: they are what makes songbird look where SSL_CERT_FILE says.
use songbird_tungstenite as _;
use symphonia::core::io::MediaSource;

// What bots share. Not as a package: that would bring the others' libraries into this one's lock file.
#[path = "../../bots/src/lib.rs"]
mod bots;
use bots::{api_authority, say, variable};

const RATE: u32 = 48_000;
/// A pause does not count as sound.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes of one sample of both channels.
const SAMPLE_BYTES: u64 = 8;
/// Of 1.
const VOLUME: f64 = 0.4;

/// Samples of a tone without end: 32-bit stereo.
struct Tone {
    hertz: f64,
    /// Bytes that were read.
    at: u64,
    /// The sample that is being read, of either channel.
    sample: [u8; 4],
}

impl Tone {
    fn new(hertz: f64) -> Self {
        Self { hertz, at: 0, sample: [0; 4] }
    }
}

impl Read for Tone {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            if self.at.is_multiple_of(SAMPLE_BYTES) {
                let seconds = (self.at / SAMPLE_BYTES) as f64 / f64::from(RATE);
                let value = VOLUME * (TAU * self.hertz * seconds).sin();
                self.sample = (value as f32).to_le_bytes();
            }
            *byte = self.sample[(self.at % 4) as usize];
            self.at += 1;
        }
        Ok(buffer.len())
    }
}

impl Seek for Tone {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl MediaSource for Tone {
    fn is_seekable(&self) -> bool {
        false
    }
    fn byte_len(&self) -> Option<u64> {
        None
    }
}

/// The pitch of what was decoded: upward crossings of zero in a second of it.
#[derive(Default)]
struct Ear {
    samples: u32,
    crossings: u32,
    last: i16,
    power: f64,
    heard_at: Option<Instant>,
}

impl Ear {
    fn hear(&mut self, user: &str, pcm: &[i16]) {
        if self.heard_at.replace(Instant::now()).is_none_or(|at| at.elapsed() > PAUSE) {
            *self = Self { heard_at: self.heard_at, ..Self::default() };
        }
        for value in pcm {
            self.crossings += u32::from(self.last < 0 && *value >= 0);
            self.last = *value;
            self.power += f64::from(*value).powi(2);
            self.samples += 1;
        }
        if self.samples >= RATE {
            let loudness = (self.power / f64::from(self.samples)).sqrt().round();
            let hertz = f64::from(self.crossings * RATE) / f64::from(self.samples);
            say(json!({ "heard": user, "hertz": hertz.round(), "loudness": loudness }));
            *self = Self { heard_at: self.heard_at, ..Self::default() };
        }
    }
}

#[derive(Default)]
struct Ears {
    users: HashMap<u32, String>,
    of: HashMap<u32, Ear>,
}

#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Ears>>);

#[async_trait]
impl songbird::EventHandler for Listener {
    async fn act(&self, context: &EventContext<'_>) -> Option<Event> {
        let mut ears = self.0.lock().ok()?;
        match context {
            EventContext::SpeakingStateUpdate(Speaking { ssrc, user_id: Some(user), .. }) => {
                ears.users.insert(*ssrc, user.0.to_string());
            }
            EventContext::VoiceTick(tick) => {
                let Ears { users, of } = &mut *ears;
                for (ssrc, data) in &tick.speaking {
                    if let (Some(user), Some(pcm)) = (users.get(ssrc), &data.decoded_voice) {
                        of.entry(*ssrc).or_default().hear(user, pcm);
                    }
                }
            }
            _ => {}
        }
        None
    }
}

struct Bot {
    guild: u64,
    channel: u64,
    hertz: f64,
}

impl Bot {
    async fn sing(&self, cx: &Context) -> anyhow::Result<()> {
        let manager = songbird::get(cx).await.context("songbird is registered")?;
        let guild = GuildId::new(self.guild);
        // The guild may be told of anew when the session begins again.
        if manager.get(guild).is_some() {
            return Ok(());
        }
        let call = manager.get_or_insert(guild);
        let listener = Listener::default();
        {
            let mut call = call.lock().await;
            call.add_global_event(CoreEvent::SpeakingStateUpdate.into(), listener.clone());
            call.add_global_event(CoreEvent::VoiceTick.into(), listener);
        }
        manager.join(guild, ChannelId::new(self.channel)).await?;
        let tone = RawAdapter::new(Tone::new(self.hertz), RATE, 2);
        call.lock().await.play_input(Input::from(tone));
        say(json!({ "state": "ready" }));
        Ok(())
    }
}

#[async_trait]
impl EventHandler for Bot {
    async fn ready(&self, _: Context, ready: Ready) {
        say(json!({ "ready": true, "user": ready.user.id.to_string() }));
    }

    async fn guild_create(&self, cx: Context, guild: Guild, _: Option<bool>) {
        if guild.id.get() != self.guild {
            return;
        }
        if let Err(error) = self.sing(&cx).await {
            say(json!({ "error": format!("{error:#}") }));
        }
    }
}

fn crypto_mode(name: &str) -> anyhow::Result<CryptoMode> {
    match name.parse() {
        Ok(mode) => Ok(mode),
        Err(_) => bail!("songbird has no mode {name}"),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let token = variable("ROOKERY_TOKEN")?;
    let bot = Bot {
        guild: variable("ROOKERY_GUILD")?.parse()?,
        channel: variable("ROOKERY_CHANNEL")?.parse()?,
        hertz: variable("ROOKERY_PITCH")?.parse()?,
    };
    let http =
        HttpBuilder::new(&token).proxy(format!("http://{}", api_authority()?)).ratelimiter_disabled(true).build();
    let decode = DecodeConfig::new(Channels::Mono, SampleRate::Hz48000);
    let config =
        Config::default().crypto_mode(crypto_mode(&variable("ROOKERY_MODE")?)?).decode_mode(DecodeMode::Decode(decode));
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_VOICE_STATES;
    let client = serenity::client::ClientBuilder::new_with_http(http, intents).event_handler(bot);
    client.register_songbird_from_config(config).await?.start().await?;
    Ok(())
}
