//! The regional gateway: WebSocket sessions, guild and user owners, and the region's side of each call.
