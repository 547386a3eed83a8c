//! The floor: one thread that encrypts a packet for each receiver with AES-256-GCM and sends it, a call for each.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rookery_rtp::{HEADER_BYTES, OVERHEAD_BYTES};

use super::PAYLOAD_BYTES;
use super::burst::Sinks;
use crate::cpu;

const NONCE_BYTES: usize = 4;

pub struct Floor {
    socket: UdpSocket,
    receivers: Vec<(SocketAddr, LessSafeKey)>,
    counter: u32,
}

impl Floor {
    /// To the same sockets as the server's packets, each with a key of its own.
    pub fn new(sinks: &Sinks) -> anyhow::Result<Self> {
        let receivers = sinks.addresses()?.into_iter().enumerate().map(|(at, address)| {
            let mut key = [7; 32];
            key[..8].copy_from_slice(&(at as u64).to_be_bytes());
            let key = UnboundKey::new(&AES_256_GCM, &key).ok().context("a key of 32 bytes")?;
            Ok((address, LessSafeKey::new(key)))
        });
        let receivers = receivers.collect::<anyhow::Result<_>>()?;
        Ok(Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, receivers, counter: 0 })
    }

    /// Sends so many packets of sound to each; CPU time of it.
    pub fn send(&mut self, packets: usize) -> anyhow::Result<Duration> {
        self.send_of(packets, PAYLOAD_BYTES)
    }

    /// The same with packets that carry so much.
    pub fn send_of(&mut self, packets: usize, payload_bytes: usize) -> anyhow::Result<Duration> {
        let before = cpu::of_thread()?;
        let mut packet = vec![0; HEADER_BYTES + payload_bytes + OVERHEAD_BYTES];
        for _ in 0..packets {
            self.counter = self.counter.wrapping_add(1);
            for (address, key) in &self.receivers {
                packet[..2].copy_from_slice(&[0x80, 120]);
                packet[2..4].copy_from_slice(&(self.counter as u16).to_be_bytes());
                packet[4..8].copy_from_slice(&self.counter.wrapping_mul(960).to_be_bytes());
                packet[HEADER_BYTES..HEADER_BYTES + payload_bytes].fill(7);
                let mut nonce = [0; NONCE_LEN];
                nonce[..NONCE_BYTES].copy_from_slice(&self.counter.to_be_bytes());
                let (header, rest) = packet.split_at_mut(HEADER_BYTES);
                let (body, suffix) = rest.split_at_mut(payload_bytes);
                let nonce_again = nonce;
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body);
                let tag = tag.ok().context("encryption")?;
                let (tag_place, nonce_place) = suffix.split_at_mut(suffix.len() - NONCE_BYTES);
                tag_place.copy_from_slice(tag.as_ref());
                nonce_place.copy_from_slice(&nonce_again[..NONCE_BYTES]);
                self.socket.send_to(&packet, address)?;
            }
        }
        Ok(cpu::of_thread()? - before)
    }
}
