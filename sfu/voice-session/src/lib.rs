//! The voice gateway's session as a state machine without sockets, clocks or tasks.
//!
//! Everything goes in by `handle_*` with the time in milliseconds on a monotonic clock, everything comes out by
//! `poll_*`. After each `handle_*` a shell asks [`poll_event`](Session::poll_event) until it is empty, writes what
//! [`poll_transmit`](Session::poll_transmit) gives while the socket takes it, flushes once, and sets a timer to
//! [`poll_timeout`](Session::poll_timeout).
//!
//! As in the main gateway's core, two types share the work. A [`Connection`] is one socket's worth: HELLO, heartbeats,
//! limits, decoding. A [`Session`] is what RESUME brings back: the SSRC, the protocol that was chosen, the messages kept
//! for version 8, and the connection it has at the moment, if any. Media is not spoken of here: it goes on while a session
//! waits for RESUME.
//!
//! ```
//! use rookery_model::voice::{
//!     DavePolicy, EncryptionMode, SecretKey, SessionDescription, SpeakingEvent, SpeakingFlags, Ssrc, VoiceReady, VoiceVersion,
//! };
//! use rookery_model::UserId;
//! use rookery_voice_session::{
//!     Connection, Event, Frame, Payload, Selected, ServerEvent, Session, SessionInit, VoiceConfig, version_from_query,
//! };
//! use std::sync::Arc;
//!
//! // A WebSocket was accepted; its address had `?v=8`. An error has the code to close with.
//! let version = version_from_query("v=8").unwrap();
//! let mut connection = Connection::new(0, Arc::new(VoiceConfig::default()), version);
//! assert!(connection.poll_transmit().unwrap().text().unwrap().starts_with(r#"{"op":8,"#));
//!
//! // A frame came in.
//! connection.handle_frame(5, Frame::Text(
//!     r#"{"op":0,"d":{"server_id":"1","user_id":"7","session_id":"s","token":"t","max_dave_protocol_version":1}}"#));
//! let Some(Event::Identify(identify)) = connection.poll_event() else { panic!("no IDENTIFY") };
//!
//! // The shell looked the token up and found it good for this user, server and session. (Else
//! // `connection.close(VoiceCloseCode::AuthenticationFailed)`; the `Event::Close` that follows is carried out as always.)
//! let init = SessionInit::from_identify(&identify, DavePolicy::Off, 0).unwrap();
//! let ready = VoiceReady {
//!     ssrc: Ssrc(0x1234),
//!     ip: [127, 0, 0, 1].into(),
//!     port: 50_000,
//!     modes: EncryptionMode::ALL.to_vec(),
//!     experiments: Vec::new(),
//!     streams: Vec::new(),
//!     ice_servers: Vec::new(),
//! };
//! let mut session = Session::new(init, ready, connection);
//! assert!(session.poll_transmit().unwrap().text().unwrap().ends_with(r#""seq":1}"#));
//!
//! // The client discovered its address by UDP, and chose.
//! session.handle_frame(9, Frame::Text(
//!     r#"{"op":1,"d":{"protocol":"udp","data":{"address":"127.0.0.1","port":9,"mode":"aead_aes256_gcm_rtpsize"}}}"#));
//! let Some(Event::SelectProtocol(selection)) = session.poll_event() else { panic!("no SELECT_PROTOCOL") };
//! let Selected::Udp { mode, .. } = selection.selected else { panic!("not by UDP") };
//! session.describe(SessionDescription {
//!     audio_codec: "opus".into(),
//!     video_codec: "VP8".into(),
//!     media_session_id: "m".into(),
//!     mode: Some(mode),
//!     secret_key: Some(SecretKey([7; 32])),
//!     sdp: None,
//!     keyframe_interval: None,
//!     dave_protocol_version: 0,
//! });
//!
//! // Somebody else speaks: written once for all who hear of it.
//! let speaking = SpeakingEvent { user_id: UserId::new(8), ssrc: Ssrc(5), speaking: SpeakingFlags::VOICE };
//! session.send(&Payload::new(&ServerEvent::Speaking(speaking)));
//! assert!(session.poll_transmit().unwrap().text().unwrap().contains("secret_key"));
//! assert_eq!(session.poll_transmit().unwrap().text(),
//!     Some(r#"{"op":5,"d":{"user_id":"8","ssrc":5,"speaking":1},"seq":3}"#));
//!
//! // The socket broke, and a new one resumed (`Event::Resume`, token checked) after the first two messages.
//! session.handle_detached(1_000);
//! let fresh = Connection::new(2_000, Arc::new(VoiceConfig::default()), VoiceVersion::V8);
//! session.resume(fresh, Some(2)).unwrap();
//! assert!(session.poll_transmit().unwrap().text().unwrap().starts_with(r#"{"op":8,"#));
//! assert_eq!(session.poll_transmit().unwrap().text(), Some(r#"{"op":9,"d":null}"#));
//! assert!(session.poll_transmit().unwrap().text().unwrap().ends_with(r#""seq":3}"#));
//! ```
//!
//! What the shell must see to: read frames before it reports a timeout; accept WebSocket messages somewhat larger than
//! [`VoiceConfig::payload_max_bytes`], so that a too long one is answered with 4002; bound the socket's send buffer,
//! because what the kernel took counts as sent.

mod config;
mod connection;
mod event;
mod inbound;
mod outbox;
mod params;
mod payload;
mod rate_limit;
mod session;
mod transmit;

pub use config::VoiceConfig;
pub use connection::Connection;
pub use event::{DaveMessage, EndReason, Event, Selected, Selection};
pub use inbound::Frame;
pub use params::{ParamsError, version_from_query};
pub use payload::{Payload, ServerEvent};
pub use session::{Resumption, Session, SessionInit};
pub use transmit::Transmit;
