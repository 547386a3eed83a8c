//! A GeoIP2 database of countries, as small as a test wants it: MaxMind's DB format, version 2.0, for IPv4.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What a side of a node of the search tree leads to.
#[derive(Debug, Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    /// Offset in the data section.
    Data(usize),
}

/// Networks, each in a country of a continent; none holds another.
pub fn write(path: &Path, networks: &[(Ipv4Addr, u8, &str, &str)]) -> Result<()> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (address, prefix, continent, country) in networks {
        let offset = data.len();
        map(&mut data, 2);
        text(&mut data, "continent");
        map(&mut data, 1);
        text(&mut data, "code");
        text(&mut data, continent);
        text(&mut data, "country");
        map(&mut data, 1);
        text(&mut data, "iso_code");
        text(&mut data, country);
        insert(&mut nodes, u32::from(*address), *prefix, Record::Data(offset));
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Nothing => count,
            Record::Node(index) => *index,
            Record::Data(offset) => count + 16 + offset,
        };
        let value = u32::try_from(value).context("the tree is small")?;
        file.extend_from_slice(&value.to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.append(&mut data);
    metadata(&mut file, count)?;
    fs::write(path, file).with_context(|| format!("cannot write {}", path.display()))
}

fn insert(nodes: &mut Vec<[Record; 2]>, address: u32, prefix: u8, data: Record) {
    let mut at = 0;
    for bit in 0..prefix {
        let side = (address >> (31 - u32::from(bit)) & 1) as usize;
        if bit + 1 == prefix {
            nodes[at][side] = data;
            return;
        }
        at = match nodes[at][side] {
            Record::Node(next) => next,
            _ => {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[at][side] = Record::Node(next);
                next
            }
        };
    }
}

fn metadata(file: &mut Vec<u8>, nodes: usize) -> Result<()> {
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    map(file, 9);
    text(file, "binary_format_major_version");
    file.extend_from_slice(&[0xa1, 2]);
    text(file, "binary_format_minor_version");
    file.push(0xa0);
    text(file, "build_epoch");
    // An extended type: unsigned 64 bits, in four octets.
    file.extend_from_slice(&[0x04, 0x02]);
    file.extend_from_slice(&1_700_000_000_u32.to_be_bytes());
    text(file, "database_type");
    text(file, "Test-Country");
    text(file, "description");
    map(file, 0);
    text(file, "ip_version");
    file.extend_from_slice(&[0xa1, 4]);
    text(file, "languages");
    // An extended type: an array of none.
    file.extend_from_slice(&[0x00, 0x04]);
    text(file, "node_count");
    file.push(0xc4);
    file.extend_from_slice(&u32::try_from(nodes).context("the tree is small")?.to_be_bytes());
    text(file, "record_size");
    file.extend_from_slice(&[0xa1, 24]);
    Ok(())
}

fn map(bytes: &mut Vec<u8>, entries: u8) {
    bytes.push(0xe0 | entries);
}

/// Text of up to 28 octets, which is all that stands here.
fn text(bytes: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() < 29);
    bytes.push(0x40 | text.len() as u8);
    bytes.extend_from_slice(text.as_bytes());
}
