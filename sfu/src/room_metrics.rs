//! Counts of each room in Prometheus' text format. They are told when somebody asks, and are no figures of the process: there
//! is no bound on how many rooms a node sees in its time.

use std::fmt::Write as _;

use crate::media::RoomCounts;

/// How one figure is read out of a room's counts.
struct Figure {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: fn(&RoomCounts) -> f64,
}

const FIGURES: [Figure; 9] = [
    Figure { name: "members", kind: "gauge", help: "Members with a session.", of: |room| room.members as f64 },
    Figure { name: "speakers", kind: "gauge", help: "Members who are heard now.", of: |room| room.speakers as f64 },
    Figure {
        name: "quality",
        kind: "gauge",
        help: "What the room has given up: 0 nothing, to 6 all pictures and three quarters of the speakers.",
        of: |room| f64::from(room.quality as u8),
    },
    Figure {
        name: "packets_in_total",
        kind: "counter",
        help: "Packets of members.",
        of: |room| room.stats.packets_in as f64,
    },
    Figure {
        name: "packets_out_total",
        kind: "counter",
        help: "Packets to members.",
        of: |room| room.stats.packets_out as f64,
    },
    Figure {
        name: "packets_dropped_total",
        kind: "counter",
        help: "Packets of members that went nowhere.",
        of: |room| room.stats.dropped.iter().sum::<u64>() as f64,
    },
    Figure {
        name: "packets_lost",
        kind: "gauge",
        help: "Packets that those who are there sent and that never came.",
        of: |room| room.lost as f64,
    },
    Figure {
        name: "jitter_seconds",
        kind: "gauge",
        help: "The mean of those who send.",
        of: |room| room.jitter_us() as f64 / 1_000_000.0,
    },
    Figure {
        name: "retransmissions_total",
        kind: "counter",
        help: "Packets of video that were sent again.",
        of: |room| room.stats.retransmissions as f64,
    },
];

/// The rooms, each with its server and channel.
pub(crate) fn text(rooms: &[RoomCounts]) -> String {
    let mut text = String::new();
    for Figure { name, kind, help, of } in &FIGURES {
        let name = format!("rookery_sfu_room_{name}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for room in rooms {
            let key = room.key;
            let _ =
                writeln!(text, "{name}{{server=\"{}\",channel=\"{}\"}} {}", key.server_id, key.channel_id, of(room));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rookery_forwarder::{Quality, RoomStats};
    use rookery_model::voice::node::VoiceRoomKey;
    use rookery_model::{ChannelId, VoiceServerId};

    use super::*;

    #[test]
    fn each_room_has_each_figure_once() {
        let room = |channel| RoomCounts {
            key: VoiceRoomKey { server_id: VoiceServerId::new(7), channel_id: ChannelId::new(channel) },
            members: 3,
            speakers: 1,
            quality: Quality::Full,
            stats: RoomStats::default(),
            lost: 0,
            jitter_us_sum: 3_000,
            senders: 2,
        };
        let text = text(&[room(1), room(2)]);
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), FIGURES.len());
        for line in [
            "rookery_sfu_room_members{server=\"7\",channel=\"1\"} 3",
            "rookery_sfu_room_jitter_seconds{server=\"7\",channel=\"2\"} 0.0015",
            "rookery_sfu_room_quality{server=\"7\",channel=\"2\"} 0",
        ] {
            assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line} in\n{text}");
        }
    }
}
