//! What nodes believe of each other.

use std::net::Ipv4Addr;

/// A node as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingEntry {
    /// Whose entry it is.
    pub address: Ipv4Addr,
    /// Two letters: up or down, then normal, leaving, joining or moving. `UN` serves requests.
    pub state: String,
}

/// Reads the table that `nodetool status` prints.
pub(crate) fn read_status(text: &str) -> Vec<RingEntry> {
    text.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<RingEntry> {
    let mut words = line.split_whitespace();
    let state = words.next().filter(|state| {
        let letters = state.as_bytes();
        matches!(letters, [b'U' | b'D' | b'?', b'N' | b'L' | b'J' | b'M' | b'?'])
    })?;
    Some(RingEntry { address: words.next()?.parse().ok()?, state: state.into() })
}

/// Whether a part of a node's log says that this neighbour answered it.
///
/// A node that comes back within seconds is still listed as up under its former life. Only this line, which
/// the pinned version writes after the neighbour has answered an echo, is about the new one.
pub(crate) fn hears(log: &str, neighbour: Ipv4Addr) -> bool {
    log.contains(&format!("InetAddress /{neighbour}:{} is now UP", crate::topology::STORAGE_PORT))
}

/// How many times a part of a node's log says that a neighbour has come or gone.
pub(crate) fn moves(log: &str) -> usize {
    log.matches(" is now UP\n").count() + log.matches(" is now DOWN\n").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Datacenter: dc1
===============
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address    Load        Owns (effective)  Host ID                               Token                 Rack
UN  127.0.2.1  114.37 KiB  66.7%             8d62015a-83ca-4e5c-960e-ff0751d58002  -9223372036854774808  r1
UJ  127.0.2.2  ?           66.7%             8d62015a-83ca-4e5c-960e-ff0751d58003  1                     r2

Datacenter: dc2
===============
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address    Load        Owns (effective)  Host ID                               Token                 Rack
DN  127.0.2.12 117.01 KiB  66.7%             8c759a14-7a93-4e54-b29c-4c3fd96ef7ad  -3074457345618257603  r1
";

    #[test]
    fn the_table_of_every_data_centre_is_read() {
        let entries = read_status(STATUS);
        let shown: Vec<String> = entries.iter().map(|entry| format!("{} {}", entry.state, entry.address)).collect();
        assert_eq!(shown, ["UN 127.0.2.1", "UJ 127.0.2.2", "DN 127.0.2.12"]);
    }

    #[test]
    fn what_is_no_table_has_no_entries() {
        assert!(read_status("nodetool: Failed to connect to '127.0.2.1:7199'\nUN\nUN x\nXX 127.0.0.1\n").is_empty());
    }

    #[test]
    fn a_neighbour_is_heard_by_its_whole_address() {
        let log = "INFO [GossipStage:1] Gossiper.java:1492 - InetAddress /127.0.2.12:7000 is now UP\n";
        assert!(hears(log, Ipv4Addr::new(127, 0, 2, 12)));
        assert!(!hears(log, Ipv4Addr::new(127, 0, 2, 1)));
        let log = "Node /127.0.2.1:7000 has restarted, now UP\nInetAddress /127.0.2.1:7000 is now DOWN\n";
        assert!(!hears(log, Ipv4Addr::new(127, 0, 2, 1)));
    }

    #[test]
    fn coming_and_going_are_counted() {
        let log = "x - InetAddress /127.0.2.1:7000 is now UP\nx - InetAddress /127.0.2.1:7000 is now DOWN\nother\n";
        assert_eq!(moves(log), 2);
        assert_eq!(moves(""), 0);
    }
}
