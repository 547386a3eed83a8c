//! HTTP/1.1 and HTTP/2, plain and over TLS.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rookery_pop::config::TlsFiles;
use rookery_pop::{Pop, StartError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{FakeRegion, TestPop, connect_http2, request, send_http2, send_on, start, test_config, test_deps};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn server_config(certificate: &CertifiedKey<rcgen::KeyPair>) -> ServerConfig {
    let key = certificate.signing_key.serialize_der().try_into().unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap()
}

async fn start_tls(certificate: &CertifiedKey<rcgen::KeyPair>) -> TestPop {
    let region = Arc::new(FakeRegion::echoing());
    let mut config = test_config();
    config.https = Some(([127, 0, 0, 1], 0).into());
    config.connections.tls_handshake_timeout_ms = 200;
    let mut deps = test_deps(&region);
    deps.tls = Some(Arc::new(server_config(certificate)));
    TestPop { pop: Pop::start(config, deps).await.unwrap(), region }
}

async fn connect(pop: &TestPop, certificate: &CertifiedKey<rcgen::KeyPair>, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(pop.pop.https_addr.unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn http2_without_tls_works_by_prior_knowledge() {
    let pop = start(|_| {}).await;
    let mut sender = connect_http2(TcpStream::connect(pop.addr()).await.unwrap()).await;
    for count in ["1", "2"] {
        assert_eq!(send_http2(&mut sender, "/api/count").await.text(), count);
    }
}

#[tokio::test]
async fn over_tls_the_client_chooses_the_version() {
    let certificate = certificate();
    let pop = start_tls(&certificate).await;

    let stream = connect(&pop, &certificate, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut sender = connect_http2(stream).await;
    assert_eq!(send_http2(&mut sender, "/api/call").await.text(), "re:ping");
    assert_eq!(send_http2(&mut sender, "/api/trap").await.status, 500);
    assert_eq!(send_http2(&mut sender, "/api/call").await.text(), "re:ping");

    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = connect(&pop, &certificate, alpn).await;
        let answer = send_on(stream, request(Method::GET, "/api/call", "")).await.unwrap();
        assert_eq!(answer.text(), "re:ping");
    }
    assert_eq!(pop.get("/api/call").await.text(), "re:ping", "plain HTTP stays open beside it");
}

#[tokio::test]
async fn many_streams_of_one_http2_connection_run_at_once() {
    let certificate = certificate();
    let pop = start_tls(&certificate).await;
    let sender = connect_http2(connect(&pop, &certificate, &[b"h2"]).await).await;
    let answers = futures_util::future::join_all((0..50).map(|_| {
        let mut sender = sender.clone();
        async move { send_http2(&mut sender, "/api/call").await }
    }))
    .await;
    assert!(answers.iter().all(|answer| answer.text() == "re:ping"));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let pop = start_tls(&certificate()).await;
    let mut silent = TcpStream::connect(pop.pop.https_addr.unwrap()).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), silent.read(&mut [0])).await;
    assert_eq!(closed.expect("the connection was never closed").unwrap_or(0), 0);
}

#[tokio::test]
async fn certificates_come_from_files_too() {
    let certificate = certificate();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pop-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let files = TlsFiles { certificate_file: folder.join("certificate.pem"), key_file: folder.join("key.pem") };
    let mut config = test_config();
    config.https = Some(([127, 0, 0, 1], 0).into());
    config.tls = Some(files.clone());

    let region = Arc::new(FakeRegion::echoing());
    let error = Pop::start(config.clone(), test_deps(&region)).await.err().unwrap();
    assert!(matches!(error, StartError::Tls(_)) && error.to_string().contains("certificate.pem"), "{error}");

    std::fs::write(&files.certificate_file, certificate.cert.pem()).unwrap();
    std::fs::write(&files.key_file, certificate.signing_key.serialize_pem()).unwrap();
    let pop = TestPop { pop: Pop::start(config, test_deps(&region)).await.unwrap(), region };
    let stream = connect(&pop, &certificate, &[b"http/1.1"]).await;
    let answer = send_on(stream, request(Method::GET, "/api/count", "")).await.unwrap();
    assert_eq!(answer.text(), "1");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn https_without_a_certificate_does_not_start() {
    let mut config = test_config();
    config.https = Some(([127, 0, 0, 1], 0).into());
    let error = Pop::start(config, test_deps(&FakeRegion::echoing().into())).await.err().unwrap();
    assert!(matches!(error, StartError::Tls(_)), "{error}");
}
