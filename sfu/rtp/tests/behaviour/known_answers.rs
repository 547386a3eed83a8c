//! Packets that other implementations encrypted: AES-256-GCM by OpenSSL (Node's `crypto`, as @discordjs/voice uses it),
//! XChaCha20-Poly1305 by libsodium (PyNaCl, as discord.py uses it). Key 00..1f, nonces 5, 6 and 7.

use crate::common::*;
use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::{RtpPacket, Sealer, TransportCipher, clear_len, extension::AudioLevel};

const PLAIN: &str = "80780001000003c0000003e8";
const EXTENDED: &str = "9078000200000780000003e8bede0001";
const REPORT: &str = "81c90007000003e8";

/// Mode, then a plain packet, one with an audio level, and a receiver report.
const KNOWN: [(EncryptionMode, [&str; 3]); 2] = [
    (
        EncryptionMode::Aes256Gcm,
        [
            "26cbd9746d207d27c9e4feb520b72e8a9996f2bedbc9130d85e252b600000005",
            "a4072b2e09bccfea1dc025c3738a1898fe5287afc99dd01d3f2b07f1f063f4c600000006",
            "5fe6d6827e2d258ce7db9ece0dc787c1d45f4f7553f16379b24c2ecae04da46a49b141687335f03f00000007",
        ],
    ),
    (
        EncryptionMode::XChaCha20Poly1305,
        [
            "bb92cd41087e1bc79122c1efd8cc6cc5f97f94eb43b5c32fd9ff26f400000005",
            "efcb41f55de5c2504c38043ba5de1caefd8bc7e36549564cc98b7b07b0f4b74c00000006",
            "b6b65f347cc7af4cdf4a4f54ce1440d3f24e3abc4ea216749f200a9733419bbd62c951ff8e0e1ac000000007",
        ],
    ),
];

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    text.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}
fn key() -> SecretKey {
    SecretKey(std::array::from_fn(|n| n as u8))
}

#[test]
fn theirs_is_decrypted() {
    for (mode, [plain, extended, report]) in KNOWN {
        let mut client = Client::new(Ssrc(1_000), mode, &key());
        let packet = client.open_rtp(&mut hex(&[PLAIN, plain].concat())).expect("decrypts");
        assert_eq!(RtpPacket::parse(&packet).expect("RTP").payload(), b"opus payload");
        let packet = client.open_rtp(&mut hex(&[EXTENDED, extended].concat())).expect("decrypts");
        let packet = RtpPacket::parse(&packet).expect("RTP");
        let level = packet.extensions().get(1).and_then(AudioLevel::read);
        assert_eq!(
            (packet.payload(), level),
            (&b"opus payload"[..], Some(AudioLevel { voice: true, below_overload_db: 5 }))
        );
        let compound = client.open_rtcp(&mut hex(&[REPORT, report].concat())).expect("decrypts");
        assert_eq!(compound[8..], (0..24).collect::<Vec<u8>>());
    }
}

#[test]
fn ours_is_theirs_byte_by_byte() {
    for (mode, [plain, extended, report]) in KNOWN {
        let cipher = TransportCipher::new(mode, &key());
        let mut sealer = Sealer::new([0, 0, 0, 5]);
        let bodies =
            [b"opus payload".to_vec(), [&[0x10, 0x85, 0, 0], &b"opus payload"[..]].concat(), (0..24).collect()];
        for ((head, body), known) in [PLAIN, EXTENDED, REPORT].into_iter().zip(bodies).zip([plain, extended, report]) {
            let head = hex(head);
            let clear = if head[1] == 201 { 8 } else { clear_len(&head).expect("a header") };
            let mut packet = [&head[..], &body, &[0; 20]].concat();
            let plain_len = packet.len() - 20;
            assert_eq!(sealer.seal(&cipher, &mut packet, clear, plain_len), Ok(packet.len()));
            assert_eq!(packet, [head, hex(known)].concat(), "{mode:?}");
        }
    }
}
