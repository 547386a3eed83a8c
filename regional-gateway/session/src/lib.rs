//! The gateway session as a state machine without sockets, clocks or tasks.
//!
//! Everything goes in by `handle_*` with the time in milliseconds on a monotonic clock, everything comes out by
//! `poll_*`. After each `handle_*` a shell asks [`poll_action`](Session::poll_action) until it is empty, writes what
//! [`poll_transmit`](Session::poll_transmit) gives while the socket takes it, flushes once, and sets a timer to
//! [`poll_timeout`](Session::poll_timeout).
//!
//! Two types share the work. A [`Connection`] is one socket's worth: HELLO, heartbeats, limits, encoding, compression.
//! A [`Session`] is what RESUME brings back: sequence numbers, intents, the replay buffer, and the connection it has at
//! the moment, if any. A connection starts alone; when its client identified, the shell makes a session around it, and
//! when its client resumes, the shell hands it (with the socket) to the task that owns the session. Both are driven by
//! the same methods.
//!
//! ```
//! use rookery_model::gateway::{CloseCode, Event, Intents};
//! use rookery_model::UserId;
//! use rookery_session::{Action, Connection, Frame, GatewayParams, Payload, Session, SessionConfig, SessionInit};
//! use std::sync::Arc;
//!
//! // A WebSocket was accepted; its address had `?v=10&encoding=json`. An error has the code to close with.
//! let params = GatewayParams::from_query("v=10&encoding=json").unwrap();
//! let mut connection = Connection::new(0, Arc::new(SessionConfig::default()), params);
//! let hello = connection.poll_transmit().unwrap();
//! assert!(!hello.is_binary && hello.into_bytes().starts_with(br#"{"t":null,"s":null,"op":10,"#));
//!
//! // A frame came in.
//! connection.handle_frame(5, Frame::Text(r#"{"op":2,"d":{"token":"Bot abc","intents":513,"properties":{}}}"#));
//! let Some(Action::Identify(identify)) = connection.poll_action() else { panic!("no IDENTIFY") };
//!
//! // The shell looked the token up: it is the bot's with id 7. (Else `connection.close(CloseCode::AuthenticationFailed)`,
//! // and the `Action::Close` that follows is carried out as always.)
//! assert_eq!(identify.token.bare(), "abc");
//! let init = SessionInit::from_identify("a-random-id", UserId::new(7), true, Intents::empty(), &identify).unwrap();
//! let mut session = Session::new(init, connection);
//!
//! // READY goes here, by `handle_own_dispatch`; events for many sessions are shared.
//! let shared = Payload::new(Event::Resumed);
//! assert!(session.handle_dispatch(Arc::clone(&shared)));
//! assert_eq!(session.poll_transmit().unwrap().into_bytes(), r#"{"t":"RESUMED","s":1,"op":0,"d":{}}"#);
//!
//! // The socket broke. The session waits, and takes what happens meanwhile.
//! session.handle_detached(1_000);
//! session.handle_dispatch(shared);
//! assert_eq!(session.poll_timeout(), Some(301_000));
//!
//! // A new connection resumed (`Action::Resume`, token checked): it comes to the task that owns the session.
//! let connection = Connection::new(2_000, Arc::new(SessionConfig::default()), params);
//! match session.resume(2_100, connection, 1) {
//!     Ok(()) => { /* this task owns the new socket now */ }
//!     Err(_connection) => { /* it was told why; drive it on as a connection without session */ }
//! }
//! assert_eq!(session.poll_transmit().map(|hello| hello.is_binary), Some(false));
//! assert_eq!(session.poll_transmit().unwrap().into_bytes(), r#"{"t":"RESUMED","s":2,"op":0,"d":{}}"#);
//! ```
//!
//! What the shell must see to: read frames before it reports a timeout; accept WebSocket messages somewhat larger than
//! [`SessionConfig::payload_max_bytes`], so that a too long one is answered with 4002; bound the socket's send buffer,
//! because what the kernel took counts as sent; push the guilds of a READY only while [`Session::has_room`]; tell the time
//! with [`Session::observe_time`] before it asks for frames, so that nobody is told who typed long ago.
//!
//! A process that ends hands its sessions on with [`Session::freeze`] and [`Session::thaw`].

mod action;
mod binary;
pub mod cbor;
mod compression;
mod config;
mod connection;
mod envelope;
pub mod etf;
mod freeze;
mod inbound;
mod outbound;
mod params;
mod payload;
mod rate_limit;
mod replay;
mod session;
mod transmit;
mod unnumbered;

pub use action::{Action, EndReason};
pub use config::{SessionConfig, ZlibMode};
pub use connection::Connection;
pub use freeze::{Freezer, FrozenPayloads, FrozenSession, ThawError, ThawedPayloads};
pub use inbound::{ClientPayload, Frame};
pub use params::{Compression, Encoding, GatewayParams, ParamsError};
pub use payload::Payload;
pub use session::{Session, SessionInit};
pub use transmit::{Head, Transmit};
