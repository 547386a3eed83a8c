//! A client made of `rtc`'s whole peer connection: it offers sound, both ways.

use bytes::BytesMut;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use std::net::SocketAddr;
use std::time::Instant;

pub const OPUS: u8 = 111;

pub struct Client {
    pc: RTCPeerConnection,
    pub address: SocketAddr,
    pub ssrc: u32,
    sender: RTCRtpSenderId,
    pub state: RTCPeerConnectionState,
    /// Sequence numbers and payloads of what it heard.
    pub heard: Vec<(u16, Vec<u8>)>,
    /// RTCP packets that reached it.
    pub reports: usize,
    sequence_number: u16,
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: vec![],
    }
}

impl Client {
    pub fn new(now: Instant, address: SocketAddr, ssrc: u32) -> Self {
        Self::with(now, address, ssrc, vec![])
    }

    /// That has these encryptions of SRTP alone; none are all that `rtc` has.
    pub fn with(now: Instant, address: SocketAddr, ssrc: u32, profiles: Vec<SrtpProtectionProfile>) -> Self {
        let mut media_engine = MediaEngine::default();
        let codec = RTCRtpCodecParameters { rtp_codec: opus(), payload_type: OPUS };
        media_engine.register_codec(codec, RtpCodecKind::Audio).unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut media_engine).unwrap();
        let settings = SettingEngineBuilder::new().with_srtp_protection_profiles(profiles).build();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_media_engine(media_engine)
            .with_interceptor_registry(registry)
            .build(now)
            .unwrap();
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: opus(),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            "stream".to_owned(),
            "track".to_owned(),
            "label".to_owned(),
            RtpCodecKind::Audio,
            vec![encoding],
        );
        let sender = pc.add_track(track).unwrap();
        let state = RTCPeerConnectionState::New;
        Self { pc, address, ssrc, sender, state, heard: vec![], reports: 0, sequence_number: 65_530 }
    }

    /// Its offer, with its candidate.
    pub fn offer(&mut self, now: Instant) -> String {
        let offer = self.pc.create_offer(None).unwrap();
        self.pc.set_local_description(now, offer).unwrap();
        let base_config = CandidateConfig {
            network: "udp".to_owned(),
            address: self.address.ip().to_string(),
            port: self.address.port(),
            component: 1,
            ..Default::default()
        };
        let candidate = CandidateHostConfig { base_config, ..Default::default() }.new_candidate_host().unwrap();
        self.pc.add_local_candidate(RTCIceCandidate::from(&candidate).to_json().unwrap()).unwrap();
        self.pc.local_description().unwrap().sdp
    }
    pub fn accept(&mut self, now: Instant, answer: String) {
        self.pc.set_remote_description(now, RTCSessionDescription::answer(answer).unwrap()).unwrap();
    }

    pub fn is_connected(&self) -> bool {
        self.state == RTCPeerConnectionState::Connected
    }

    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.address,
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        // What it does not like is its own affair: the tests look at what it heard.
        let _ = self.pc.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
        self.look();
    }
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.pc.poll_timeout().is_some_and(|at| at <= now) {
            let _ = self.pc.handle_timeout(now);
        }
        self.look();
    }
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.pc.poll_timeout()
    }
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        let transmit = self.pc.poll_write()?;
        Some((transmit.transport.peer_addr, transmit.message))
    }
    pub fn close(&mut self) {
        self.pc.close().unwrap();
    }

    /// Says something.
    pub fn speak(&mut self, now: Instant, payload: &[u8]) {
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let header = rtc::rtp::Header {
            version: 2,
            payload_type: OPUS,
            sequence_number: self.sequence_number,
            timestamp: u32::from(self.sequence_number) * 960,
            ssrc: self.ssrc,
            ..Default::default()
        };
        let packet = rtc::rtp::Packet { header, payload: payload.to_vec().into() };
        self.pc.rtp_sender(self.sender).unwrap().write_rtp(now, packet).unwrap();
    }

    fn look(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.state = state;
            }
        }
        while let Some(TaggedRTCMessage { message, .. }) = self.pc.poll_read() {
            match message {
                RTCMessage::RtpPacket(_, packet) => {
                    self.heard.push((packet.header.sequence_number, packet.payload.to_vec()));
                }
                RTCMessage::RtcpPacket(..) => self.reports += 1,
                _ => {}
            }
        }
    }
}
