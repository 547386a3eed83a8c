//! Who is let in: only certificates of the deployment's own CA, each only in its role.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rookery_link::{CallError, Client, ClientOptions, Identity, LinkTls, Role, ServerOptions};
use support::{Deployment, REGION, Running, header, loopback, within};

/// Makes one call between two ends and says what came of it and how often the handler ran.
async fn call_between(server: &LinkTls, client: &LinkTls, server_name: &str) -> (Result<(), CallError>, usize) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let server = Running::start(loopback(), server, ServerOptions::default(), move |_, payload| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { payload }
    });
    let options = ClientOptions { unavailable_after_ms: 300, ..Default::default() };
    let client = Client::connect(server.address, server_name, client, options).unwrap();
    let result = within(client.call(header(1, 10_000), "x".into())).await;
    (result.map(|_| ()), runs.load(Ordering::Relaxed))
}

async fn assert_admitted(server: &LinkTls, client: &LinkTls, server_name: &str) {
    assert_eq!(call_between(server, client, server_name).await, (Ok(()), 1));
}

async fn assert_refused(server: &LinkTls, client: &LinkTls, server_name: &str, because: &str) {
    let (result, runs) = call_between(server, client, server_name).await;
    let Err(CallError::Unavailable { reason }) = result else {
        panic!("expected the link to be refused, got {result:?}");
    };
    assert!(reason.contains(because), "the reason should name {because:?}: {reason}");
    assert_eq!(runs, 0, "the handler must not run for a peer that is refused");
}

fn tls_of(ca: &Deployment, identity: Identity) -> LinkTls {
    LinkTls::new(&[ca.ca.certificate().clone()], identity).unwrap()
}

#[tokio::test]
async fn a_point_of_presence_reaches_a_region() {
    let own = Deployment::new();
    assert_admitted(&own.tls(Role::Region), &own.tls(Role::Pop), REGION).await;
    // By another name of the region's certificate too.
    assert_admitted(&own.tls(Role::Region), &own.tls(Role::Pop), "localhost").await;
}

#[tokio::test]
async fn a_client_of_another_ca_is_refused() {
    let (own, other) = (Deployment::new(), Deployment::new());
    // It trusts the region's CA, so that only the region's check stands in its way.
    let stranger = tls_of(&own, other.ca.issue(Role::Pop, &[]).unwrap());
    assert_refused(&own.tls(Role::Region), &stranger, REGION, "certificate").await;
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused() {
    let (own, other) = (Deployment::new(), Deployment::new());
    let impostor = tls_of(&own, other.ca.issue(Role::Region, &[]).unwrap());
    assert_refused(&impostor, &own.tls(Role::Pop), REGION, "certificate").await;
}

#[tokio::test]
async fn a_point_of_presence_cannot_pass_for_a_region() {
    let own = Deployment::new();
    assert_refused(&own.tls(Role::Pop), &own.tls(Role::Pop), REGION, "certificate").await;
    // Not by a name that its certificate does have, either.
    assert_refused(&own.tls(Role::Pop), &own.tls(Role::Pop), "localhost", "certificate").await;
}

#[tokio::test]
async fn a_region_is_admitted_only_where_regions_are() {
    let own = Deployment::new();
    assert_refused(&own.tls(Role::Region), &own.tls(Role::Region), REGION, "certificate").await;
    let between_regions = own.tls(Role::Region).admitting(&[Role::Pop, Role::Region]);
    assert_admitted(&between_regions, &own.tls(Role::Region), REGION).await;
    assert_admitted(&between_regions, &own.tls(Role::Pop), REGION).await;
    let nobody = own.tls(Role::Region).admitting(&[]);
    assert_refused(&nobody, &own.tls(Role::Pop), REGION, "").await;
}

#[tokio::test]
async fn an_https_certificate_opens_no_link() {
    let own = Deployment::new();
    let https = || tls_of(&own, own.ca.issue_https(&["localhost".to_owned()]).unwrap());
    assert_refused(&own.tls(Role::Region), &https(), REGION, "certificate").await;
    assert_refused(&https(), &own.tls(Role::Pop), "localhost", "certificate").await;
}

#[tokio::test]
async fn a_region_with_another_name_than_expected_is_refused() {
    let own = Deployment::new();
    assert_refused(&own.tls(Role::Region), &own.tls(Role::Pop), "eu-1.example.org", "certificate").await;
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_refused() {
    let own = Deployment::new();
    let server = own.server(ServerOptions::default(), |_, payload| async { payload });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.ca.certificate().clone()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![rookery_link::ALPN.to_vec()];
    let quic = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let endpoint = quinn::Endpoint::client(loopback()).unwrap();
    let connecting = endpoint.connect_with(quinn::ClientConfig::new(Arc::new(quic)), server.address, REGION).unwrap();
    // The client's half of the handshake may succeed; then the server closes.
    if let Ok(connection) = within(connecting).await {
        let reason = within(connection.closed()).await;
        assert!(matches!(reason, quinn::ConnectionError::ConnectionClosed(_)), "{reason:?}");
    }
}
