//! Memory of a member that listens: what the process grows by, its voice gateway's connection included.

use rookery_model::voice::EncryptionMode;
use serde_json::json;

use super::client::Room;
use super::node::Node;
use super::{PAYLOAD_BYTES, Part};
use crate::bars::Bar;
use crate::idle::GIVEN_BACK;

/// In the room from the beginning, so that what all members share is there.
const FIRST: usize = 20;
/// Members of one room.
const ROOM: usize = 1_000;

pub async fn run(members: usize) -> anyhow::Result<Part> {
    let mut node = Node::start()?;
    let _first = Room::fill(&mut node, 1, EncryptionMode::Aes256Gcm, 1, FIRST).await?;
    tokio::time::sleep(GIVEN_BACK).await;
    let before = node.resident_bytes()?;
    let mut rooms = Vec::new();
    let mut left = members;
    while left > 0 {
        let listeners = left.min(ROOM);
        let mut room = Room::fill(&mut node, 2 + rooms.len() as u64, EncryptionMode::Aes256Gcm, 1, listeners).await?;
        let payload = [7; PAYLOAD_BYTES];
        room.speakers[0].say(&payload)?;
        room.listeners.check(&payload)?;
        rooms.push(room);
        left -= listeners;
    }
    tokio::time::sleep(GIVEN_BACK).await;
    let after = node.resident_bytes()?;
    let of_member = after.saturating_sub(before) as f64 / (members + rooms.len()) as f64;
    Ok(Part {
        figures: json!({
            "memory_members": members + rooms.len(),
            "memory_resident_bytes_before": before,
            "memory_resident_bytes_after": after,
            "memory_bytes_per_member": of_member.round(),
        }),
        bars: vec![Bar::at_most("memory_bytes_per_member", of_member, 8_192.0)],
    })
}
