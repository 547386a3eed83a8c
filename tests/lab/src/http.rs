//! Just enough of the protocols of the lab's processes to ask how they are.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The largest answer.
const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// The status and the body of a GET.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("the answer has no status")?;
    Ok((status, body.to_owned()))
}

/// Whether a CQL server says what it supports: it takes clients then.
pub(crate) fn cql_answers(address: SocketAddr) -> Result<()> {
    const OPTIONS: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];
    const SUPPORTED: u8 = 6;
    let mut stream = connect(address)?;
    stream.write_all(&OPTIONS)?;
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    ensure!(head[4] == SUPPORTED, "it answers with opcode {}", head[4]);
    Ok(())
}

/// Whether a relay answers a STUN binding request.
pub(crate) fn stun_answers(address: SocketAddr) -> Result<()> {
    const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42rookery-test";
    const SUCCESS: [u8; 2] = [1, 1];
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(address)?;
    socket.send(&REQUEST)?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    let is_ours = answer[..length].get(8..20) == REQUEST.get(8..20);
    ensure!(is_ours && answer.starts_with(&SUCCESS), "it answers {:02x?}", &answer[..length.min(20)]);
    Ok(())
}

/// The addresses that a name server gives for a name to a client without a known place.
pub(crate) fn dns_addresses(server: SocketAddr, name: &str) -> Result<Vec<Ipv4Addr>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(server)?;
    socket.send(&question(name)?)?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    addresses(answer.get(..length).unwrap_or_default())
}

/// A question for the addresses of a name.
fn question(name: &str) -> Result<Vec<u8>> {
    let mut message = vec![0x52, 0x4b, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).ok().filter(|length| *length < 64).context("a label is too long")?);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    Ok(message)
}

/// The addresses of an answer; its names are not looked at.
fn addresses(message: &[u8]) -> Result<Vec<Ipv4Addr>> {
    let head = message.get(..12).context("the answer is torn")?;
    ensure!(head[2] & 0x80 != 0 && head[3] & 0x0f == 0, "it answers with code {}", head[3] & 0x0f);
    let count = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let mut at = 12;
    for _ in 0..count(4) {
        at = after_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..count(6) {
        at = after_name(message, at)?;
        let record = message.get(at..at + 10).context("the answer is torn")?;
        let length = usize::from(u16::from_be_bytes([record[8], record[9]]));
        let data = message.get(at + 10..at + 10 + length).context("the answer is torn")?;
        if record[..2] == [0, 1]
            && let Ok(address) = <[u8; 4]>::try_from(data)
        {
            found.push(address.into());
        }
        at += 10 + length;
    }
    Ok(found)
}

fn after_name(message: &[u8], mut at: usize) -> Result<usize> {
    loop {
        match *message.get(at).context("the answer is torn")? {
            0 => return Ok(at + 1),
            // Goes on elsewhere, which ends it here.
            length if length >= 0xc0 => return Ok(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_an_answer_are_read() {
        let question = question("lab.test").unwrap();
        let mut answer = question.clone();
        answer[2] = 0x84;
        answer[7] = 2;
        for last in [1, 2] {
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 89, last, 60]);
        }
        let found = addresses(&answer).unwrap();
        assert_eq!(found, [Ipv4Addr::new(10, 89, 1, 60), Ipv4Addr::new(10, 89, 2, 60)]);
        for end in 0..answer.len() {
            assert!(addresses(&answer[..end]).is_err(), "torn after {end}");
        }
        answer[3] = 5;
        assert_eq!(addresses(&answer).unwrap_err().to_string(), "it answers with code 5");
    }
}
