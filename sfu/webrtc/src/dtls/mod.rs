//! The handshakes of all peers, on the server's side.

mod records;

use bytes::BytesMut;
use rtc_crypto::providers::RingProvider;
use rtc_crypto::{RTCCryptoProvider, SecretVec};
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::limits::WebRtcLimits;
use crate::srtp::{Inbound, Media, Outbound, Profile};

/// What the exporter calls the keys of SRTP (RFC 5764, section 4.2).
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
/// Pieces of a first message: with a key share that resists quantum computers it takes two.
const HELLO_DATAGRAMS_MAX: usize = 4;

/// What came of a datagram.
pub(crate) enum Progress {
    /// It goes on.
    More,
    /// It is done, and the peer is who the offer said.
    Done(Box<Media>),
    /// The peer said that it goes.
    Closed,
}

/// Why a datagram, or the whole handshake, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DtlsError {
    /// The datagram is dropped, the handshake goes on.
    Malformed,
    /// As above; the peer has sent more than a handshake takes.
    Budget,
    /// The handshake cannot go on.
    Failed,
    /// The certificate is not that of the offer.
    Fingerprint,
}

/// What a peer may still send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DtlsBudget {
    bytes: u32,
    fragments: u32,
}

impl DtlsBudget {
    pub(crate) const fn new(limits: &WebRtcLimits) -> Self {
        Self { bytes: limits.dtls_bytes_max, fragments: limits.dtls_fragments_max }
    }

    fn take(&mut self, bytes: usize, fragments: u32) -> Option<()> {
        let bytes = self.bytes.checked_sub(u32::try_from(bytes).ok()?)?;
        let fragments = self.fragments.checked_sub(fragments)?;
        *self = Self { bytes, fragments };
        Some(())
    }
}

/// The associations of all peers. `rtc-dtls` calls them by address; a peer's may change, so they have made-up ones.
pub(crate) struct Dtls {
    endpoint: Endpoint,
    fast: Arc<HandshakeConfig>,
    common: Arc<HandshakeConfig>,
    /// What came of those who were not answered at all yet.
    hellos: HashMap<usize, Vec<BytesMut>>,
    /// What was not answered yet, of those whose handshake is under way.
    flights: HashMap<usize, Flight>,
    transmits: VecDeque<(usize, BytesMut)>,
    /// What 0 ms is.
    epoch: Instant,
}

impl Dtls {
    /// An error is one of the configuration, and so of this crate.
    pub(crate) fn new(certificate: &Certificate, epoch: Instant) -> Result<Self, rtc_shared::error::Error> {
        let config = |profiles: &[SrtpProtectionProfile]| {
            let builder = ConfigBuilder::default()
                .with_crypto_provider(Arc::new(RingProvider::new()))
                .with_certificates(vec![certificate.inner.clone()])
                .with_cipher_suites(vec![
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
                ])
                .with_srtp_protection_profiles(profiles.to_vec())
                // It ties the keys to all that was said before, which `rtc-dtls` does not look at in a client's last message.
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                // Any, because the fingerprint tells whose it is.
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true);
            builder.build(false, None).map(Arc::new)
        };
        Ok(Self {
            endpoint: Endpoint::new(name(usize::MAX), TransportProtocol::UDP, None),
            fast: config(&Profile::FAST)?,
            common: config(&Profile::COMMON)?,
            hellos: HashMap::new(),
            flights: HashMap::new(),
            transmits: VecDeque::new(),
            epoch,
        })
    }

    /// Takes a datagram of a peer, whose certificate must be the expected one.
    pub(crate) fn handle(
        &mut self,
        now_ms: u64,
        peer: usize,
        datagram: &[u8],
        budget: &mut DtlsBudget,
        handshake: Handshake,
    ) -> Result<Progress, DtlsError> {
        let cost = records::inspect(datagram).ok_or(DtlsError::Malformed)?;
        budget.take(datagram.len(), cost.fragments).ok_or(DtlsError::Budget)?;
        let events = self.read(now_ms, peer, BytesMut::from(datagram));
        self.collect(now_ms, peer);
        if events?.iter().any(|event| matches!(event, EndpointEvent::PeerClosed)) {
            return Ok(Progress::Closed);
        }
        match handshake {
            Handshake::Expects(fingerprint) => self.keys(peer, fingerprint),
            Handshake::IsDone => Ok(Progress::More),
        }
    }

    /// Gives a datagram to the association, which begins with it if there is none.
    ///
    /// `rtc-dtls` takes the first of the client's profiles that it has too, and browsers name the dearest first. So the fast
    /// ones are all that it has at first, and when a client knows none of them it hears the same again with the common one.
    fn read(&mut self, now_ms: u64, peer: usize, datagram: BytesMut) -> Result<Vec<EndpointEvent>, DtlsError> {
        let now = self.at(now_ms);
        if self.endpoint.get_connection_state(name(peer)).is_none() {
            self.endpoint.set_server_config(Some(self.fast.clone()));
            self.hellos.insert(peer, Vec::new());
        }
        if let Some(hello) = self.hellos.get_mut(&peer) {
            // In how many pieces a client ever said hello; a longer one only has no second chance.
            if hello.len() < HELLO_DATAGRAMS_MAX {
                hello.push(datagram.clone());
            }
        }
        if let Ok(events) = self.endpoint.read(now, name(peer), None, datagram) {
            return Ok(events);
        }
        let hello = self.hellos.remove(&peer).ok_or(DtlsError::Failed)?;
        self.endpoint.stop(now, name(peer));
        // That it failed is not to be told.
        while self.endpoint.poll_transmit().is_some() {}
        self.endpoint.set_server_config(Some(self.common.clone()));
        let mut events = Ok(Vec::new());
        for datagram in hello {
            events = self.endpoint.read(now, name(peer), None, datagram);
        }
        events.map_err(|_| DtlsError::Failed)
    }

    /// The keys, once the server has said its last: from then on they can be exported.
    fn keys(&mut self, peer: usize, expected: Fingerprint) -> Result<Progress, DtlsError> {
        let state = self.endpoint.get_connection_state(name(peer)).ok_or(DtlsError::Failed)?;
        let Some(profile) = Profile::of(state.srtp_protection_profile()) else {
            return Ok(Progress::More);
        };
        let Ok(material) = state.export_keying_material(EXPORTER_LABEL, &[], profile.keying_material_bytes()) else {
            return Ok(Progress::More);
        };
        let certificate = state.peer_certificates.first().ok_or(DtlsError::Fingerprint)?;
        if Fingerprint::of(certificate) != expected {
            return Err(DtlsError::Fingerprint);
        }
        let media = media(profile, &material).ok_or(DtlsError::Failed)?;
        self.flights.remove(&peer);
        Ok(Progress::Done(media))
    }

    /// Takes over what a peer is to be sent.
    fn collect(&mut self, now_ms: u64, peer: usize) {
        let mut datagrams = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit() {
            datagrams.push(transmit.message);
        }
        if !datagrams.is_empty() {
            self.hellos.remove(&peer);
        }
        self.transmits.extend(datagrams.iter().map(|datagram| (peer, datagram.clone())));
        if datagrams.first().is_some_and(|first| records::begins_with_server_hello(first)) {
            self.flights.insert(peer, Flight::new(now_ms, datagrams));
        }
    }

    /// Sends again what was not answered.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64, peer: usize) {
        if let Some(flight) = self.flights.get_mut(&peer)
            && flight.is_due(now_ms)
        {
            self.transmits.extend(flight.datagrams.iter().map(|datagram| (peer, datagram.clone())));
        }
    }
    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self, peer: usize) -> Option<u64> {
        self.flights.get(&peer)?.again_at_ms
    }
    /// What is to be sent, and to which peer.
    pub(crate) fn poll_transmit(&mut self) -> Option<(usize, BytesMut)> {
        self.transmits.pop_front()
    }

    /// Ends an association and tells the peer, if it can.
    pub(crate) fn remove(&mut self, now_ms: u64, peer: usize) {
        let now = self.at(now_ms);
        self.hellos.remove(&peer);
        self.flights.remove(&peer);
        self.endpoint.stop(now, name(peer));
        self.collect(now_ms, peer);
    }

    fn at(&self, now_ms: u64) -> Instant {
        self.epoch + Duration::from_millis(now_ms)
    }
}

/// How far a peer's handshake is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handshake {
    /// Under way; this is to be the certificate.
    Expects(Fingerprint),
    IsDone,
}

/// What the server said after the cookie came back, until it is answered.
///
/// `rtc-dtls` gives up its timer when anything of a handshake comes, be it only the client's message again: if both sides
/// lost something, both would wait for ever. So it never is asked for its timers, and the very datagrams are sent again:
/// to a client that has some of them these are replays, and the others are what it waits for. The first answer, which asks
/// for the cookie, is not kept: a client sends its first message again, and nothing goes out that nobody asked for.
struct Flight {
    datagrams: Vec<BytesMut>,
    again_at_ms: Option<u64>,
    interval_ms: u64,
}

/// More than the way there and back mostly takes.
const FLIGHT_INTERVAL_MS: u64 = 250;
/// It doubles up to here, and then it is no use.
const FLIGHT_INTERVAL_MAX_MS: u64 = 8_000;

impl Flight {
    fn new(now_ms: u64, datagrams: Vec<BytesMut>) -> Self {
        let interval_ms = FLIGHT_INTERVAL_MS;
        Self { datagrams, again_at_ms: now_ms.checked_add(interval_ms), interval_ms }
    }

    /// Whether it is time; waits for twice as long from then on.
    fn is_due(&mut self, now_ms: u64) -> bool {
        let is_due = self.again_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due {
            self.interval_ms *= 2;
            let goes_on = self.interval_ms <= FLIGHT_INTERVAL_MAX_MS;
            self.again_at_ms = if goes_on { now_ms.checked_add(self.interval_ms) } else { None };
        }
        is_due
    }
}

fn media(profile: Profile, material: &SecretVec) -> Option<Box<Media>> {
    let (client, server) = profile.split(material.as_ref())?;
    let provider = RingProvider::new();
    let inbound = Inbound::new(provider.crypto(), &client).ok()?;
    let outbound = Outbound::new(provider.crypto(), &server).ok()?;
    Some(Box::new(Media { inbound, outbound }))
}

fn name(peer: usize) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(peer as u128).into(), 1)
}
