//! RTCP, decrypted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_model::voice::Ssrc;
use rookery_rtp::rtcp::{self, Rtcp};

fuzz_target!(|compound: &[u8]| {
    let _ = rtcp::read(compound, |said| match said {
        Rtcp::Nack { media_ssrc, packets } => {
            let mut lost: Vec<u16> = packets.iter().collect();
            assert!(lost.len() <= compound.len() * 17 / 4);
            // What is asked for is asked for again as the same.
            lost.sort_unstable();
            lost.dedup();
            let mut buffer = vec![0; 12 + 4 * lost.len()];
            if let Some(len) = rtcp::write_nack(Ssrc(1), media_ssrc, lost.iter().copied(), &mut buffer) {
                rtcp::read(&buffer[..len], |again| {
                    let Rtcp::Nack { packets, .. } = again else { panic!("no NACK") };
                    assert_eq!(packets.iter().collect::<Vec<_>>(), lost);
                })
                .expect("it was written here");
            }
        }
        Rtcp::Report(report) => {
            let mut buffer = [0; 32];
            let len = rtcp::write_receiver_report(report.reporter, &[report], &mut buffer).expect("there is room");
            rtcp::read(&buffer[..len], |again| assert!(matches!(again, Rtcp::Report(same) if same == report)))
                .expect("it was written here");
        }
        Rtcp::TransportFeedback(twcc) => assert!(twcc.packets().count() <= 4_096),
        Rtcp::Remb { ssrcs, .. } => assert!(ssrcs.iter().count() <= 64),
        Rtcp::SenderReport { .. } | Rtcp::Bye(_) | Rtcp::Pli { .. } | Rtcp::Fir { .. } => {}
    });
});
