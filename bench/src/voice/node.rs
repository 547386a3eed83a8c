//! The voice node, in a process of its own.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rookery_model::voice::node::{
    PrepareMember, ROOM_MEMBERS_MAX, VoiceMemberFlags, VoiceNodeLoad, VoiceNodeRefusal, VoiceRoomKey, VoiceRoomSettings,
};
use rookery_model::{ChannelId, UserId, VoiceServerId};
use rookery_sfu::{SfuConfig, VoiceNode, VoiceServer};
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};

use super::program::Program;
use crate::cpu;

/// Longer than any run: clients do not beat.
const HOURS_MS: u64 = 86_400_000;

/// What a node is asked for, one line each.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Let these users into a room.
    Prepare {
        channel: u64,
        users: Vec<u64>,
        flags: VoiceMemberFlags,
    },
    Load,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Started { gateway: SocketAddr, certificate: Vec<u8> },
    Prepared(Vec<String>),
    Load(VoiceNodeLoad),
    Failed(String),
}

/// The room of a channel.
fn room(channel: u64) -> VoiceRoomKey {
    // Each in a server of its own, where users are in one channel only.
    VoiceRoomKey { server_id: VoiceServerId::new(channel), channel_id: ChannelId::new(channel) }
}

/// Is a node until nobody asks any more.
pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let localhost = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let mut config = SfuConfig { gateway: localhost, media: localhost, cores: Some(1), ..SfuConfig::default() };
    config.session.heartbeat_timeout_ms = HOURS_MS;
    config.token_ttl_ms = HOURS_MS;
    config.session.identify_timeout_ms = 60_000;
    config.handshake_timeout_ms = 60_000;
    let (server, mut events) = {
        let _context = runtime.enter();
        VoiceServer::start(config, Arc::new(tls))?
    };
    runtime.spawn(async move { while events.recv().await.is_some() {} });
    let node = server.node();
    tell(&Answer::Started { gateway: server.gateway_address(), certificate: certificate.to_vec() })?;
    for line in std::io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        tell(&runtime.block_on(carry_out(&node, order)))?;
    }
    runtime.block_on(server.stop(Duration::ZERO));
    Ok(())
}

fn tell(answer: &Answer) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string(answer)?)?;
    Ok(())
}

async fn carry_out(node: &VoiceNode, order: Order) -> Answer {
    match order {
        Order::Prepare { channel, users, flags } => {
            let prepare = |user: u64| {
                node.prepare_member(PrepareMember {
                    room: room(channel),
                    user_id: UserId::new(user),
                    session_id: session_id(user),
                    flags,
                    settings: VoiceRoomSettings { members_max: ROOM_MEMBERS_MAX, ..VoiceRoomSettings::default() },
                    token: None,
                })
            };
            let prepared = users.into_iter().map(|user| Ok(prepare(user)?.token)).collect::<Result<_, _>>();
            prepared.map_or_else(|refusal: VoiceNodeRefusal| Answer::Failed(refusal.to_string()), Answer::Prepared)
        }
        Order::Load => Answer::Load(node.load().await),
    }
}

/// The main gateway's session of a user.
pub fn session_id(user: u64) -> String {
    format!("session-{user}")
}

/// The node's process.
pub struct Node {
    program: Program,
    pub gateway: SocketAddr,
    /// What it shows, to be trusted.
    pub certificate: Vec<u8>,
}

impl Node {
    pub fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut program = Program::start(command.args(["bench", "voice-node"]))?;
        match program.answer()? {
            Answer::Started { gateway, certificate } => Ok(Self { program, gateway, certificate }),
            other => bail!("the voice node answered {other:?}"),
        }
    }

    fn ask(&mut self, order: &Order) -> anyhow::Result<Answer> {
        self.program.ask(order).context("the voice node is gone")
    }

    /// Tokens for users who may come into a room.
    pub fn prepare(&mut self, channel: u64, users: Vec<u64>, flags: VoiceMemberFlags) -> anyhow::Result<Vec<String>> {
        match self.ask(&Order::Prepare { channel, users, flags })? {
            Answer::Prepared(tokens) => Ok(tokens),
            other => bail!("the voice node answered {other:?}"),
        }
    }

    pub fn load(&mut self) -> anyhow::Result<VoiceNodeLoad> {
        match self.ask(&Order::Load)? {
            Answer::Load(load) => Ok(load),
            other => bail!("the voice node answered {other:?}"),
        }
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.program.pid())
    }

    /// How long its threads were ready to run and did not, because others did.
    pub fn waited(&self) -> anyhow::Result<Duration> {
        cpu::waited(self.program.pid())
    }

    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        cpu::resident_bytes(self.program.pid())
    }
}
