//! Pictures over UDP, whose packets go to each receiver together.

use crate::common::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_come_whole_and_in_order_to_all_who_want_them() {
    let world = World::with(|config| config.cores = Some(1));
    let mut alice = world.join(5, 1, 8, AES).await;
    let (mut bob, mut carol) = (world.join(5, 2, 8, AES).await, world.join(5, 3, 8, XCHACHA).await);
    let mut dave = world.join(5, 4, 8, AES).await;
    alice.show(&world.node).await;
    for viewer in [&mut bob, &mut carol] {
        viewer.watch(&world.node).await;
    }
    // Full packets and a shorter last one, one that is no longer kept for others, and one of a single packet.
    let shapes: [&[usize]; 4] = [&[1_200, 1_200, 1_200, 500], &[900, 1_100, 1_100, 3], &[1_200, 1_445, 1_200], &[40]];
    let mut first = 65_530;
    for round in 0..6 {
        let lengths = shapes[round % shapes.len()];
        for packet in alice.frame(first, lengths) {
            alice.udp.send(&packet).await.unwrap();
        }
        for viewer in [&mut bob, &mut carol] {
            for (at, length) in lengths.iter().enumerate() {
                let heard = viewer.hear().await;
                let number = first.wrapping_add(at as u16);
                assert_eq!((heard.ssrc, heard.payload_type, heard.sequence), (alice.video_ssrc, VP8, number));
                assert_eq!(
                    (heard.payload.len(), heard.payload[*length - 1]),
                    (*length, if *length > 2 { number as u8 } else { 0 })
                );
            }
        }
        first = first.wrapping_add(lengths.len() as u16);
    }
    // A voice between, to those who see and to who does not want to.
    alice.say(b"look").await;
    for listener in [&mut bob, &mut carol, &mut dave] {
        assert_eq!(listener.hear().await.of(), (alice.ssrc, &b"look"[..]));
    }
    assert_eq!(dave.hear_now(), None);
}
