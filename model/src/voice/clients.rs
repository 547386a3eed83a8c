//! Who is there: CLIENTS_CONNECT (11), CLIENT_DISCONNECT (13), client flags (18) and platform (20).

use serde::Serialize;

use crate::UserId;

/// The data of CLIENTS_CONNECT: users who are there, or came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientsConnect {
    pub user_ids: Vec<UserId>,
}

/// The data of CLIENT_DISCONNECT: somebody left; their SSRCs mean nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientDisconnect {
    pub user_id: UserId,
}

/// The data of opcode 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientFlags {
    pub user_id: UserId,
    /// None for bots.
    pub flags: Option<u32>,
}

/// The data of opcode 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientPlatform {
    pub user_id: UserId,
    /// 0 desktop, 1 mobile; none for bots.
    pub platform: Option<u8>,
}
