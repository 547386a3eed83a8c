//! A node to point a client's library at: JSON on standard output, until standard input ends.
//!
//! `cargo run -p rookery-sfu --example try_node -- CA_FILE USER…` prepares these users for one room, and writes the
//! certificate that libraries have to trust.
#![allow(clippy::print_stdout, reason = "its output")]

use rookery_model::voice::node::{PrepareMember, VoiceMemberFlags, VoiceRoomKey, VoiceRoomSettings};
use rookery_model::{ChannelId, UserId, VoiceServerId};
use rookery_sfu::{SfuConfig, VoiceServer};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::error::Error;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let ca_file = arguments.next().ok_or("no file for the certificate is given")?;
    let users = arguments.map(|user| user.parse()).collect::<Result<Vec<u64>, _>>()?;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    std::fs::write(ca_file, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    let mut config = SfuConfig { cores: Some(1), ..SfuConfig::default() };
    config.gateway.set_port(0);
    let (server, mut events) = VoiceServer::start(config, Arc::new(tls))?;
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("{}", serde_json::json!({ "event": event }));
        }
    });
    let room = VoiceRoomKey { server_id: VoiceServerId::new(1), channel_id: ChannelId::new(5) };
    for user in users {
        let session_id = format!("session-{user}");
        let prepared = server.node().prepare_member(PrepareMember {
            room,
            user_id: UserId::new(user),
            session_id: session_id.clone(),
            flags: VoiceMemberFlags::SPEAKER,
            settings: VoiceRoomSettings::default(),
            token: None,
        })?;
        println!(
            "{}",
            serde_json::json!({ "user_id": user.to_string(), "session_id": session_id, "prepared": prepared })
        );
    }
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    println!("{}", serde_json::json!({ "load": server.node().load().await }));
    server.stop(Duration::ZERO).await;
    Ok(())
}
