use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::future::poll_fn;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::*;

/// Our end, and rustls's own of a client, with these suites and versions.
async fn pair(
    suites: &[CipherSuite],
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<(TlsStream, ClientStream<TcpStream>)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    server.enable_secret_extraction = true;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut provider: CryptoProvider = ring::default_provider();
    provider.cipher_suites.retain(|suite| suites.is_empty() || suites.contains(&suite.suite()));
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client_io = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server_io, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let (server, client) = tokio::join!(
        accept(server_io, Arc::new(server)),
        TlsConnector::from(Arc::new(client)).connect(name, client_io)
    );
    Ok((server?, client?))
}

async fn receive(stream: &mut TlsStream, bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < bytes {
        assert!(poll_fn(|cx| stream.poll_fill(cx)).await.unwrap());
        all.extend(stream.take_plain());
    }
    all
}

async fn send(stream: &mut TlsStream, data: &[u8]) {
    stream.queue(data).unwrap();
    poll_fn(|cx| stream.poll_send(cx)).await.unwrap();
}

/// Both ways, of lengths around those of records, and then the end.
async fn talk(mut server: TlsStream, mut client: ClientStream<TcpStream>) {
    for length in [1, 50, 16_383, 16_384, 16_385, 100_000] {
        let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let mut echoed = vec![0; length];
        let there = async {
            client.write_all(&data).await.unwrap();
            client.flush().await.unwrap();
            client.read_exact(&mut echoed).await.unwrap();
        };
        let back = async {
            let came = receive(&mut server, length).await;
            send(&mut server, &came).await;
        };
        tokio::join!(there, back);
        assert!(echoed == data, "{length}");
        assert_eq!((server.incoming.capacity(), server.plain.capacity(), server.outgoing.capacity()), (0, 0, 0));
    }
    client.shutdown().await.unwrap();
    assert!(!poll_fn(|cx| server.poll_fill(cx)).await.unwrap(), "the end, and no error");
    server.end().await.unwrap();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn every_suite_of_both_versions_carries_data_both_ways() {
    let tls13 = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    for suite in tls13 {
        let (server, client) = pair(&[suite], &[&rustls::version::TLS13]).await.unwrap();
        assert!(matches!(server.session, Session::Records(_)));
        assert_eq!(client.get_ref().1.negotiated_cipher_suite().unwrap().suite(), suite);
        talk(server, client).await;
    }
    let (server, client) = pair(&[], &[&rustls::version::TLS12]).await.unwrap();
    assert!(matches!(server.session, Session::Whole(_)));
    talk(server, client).await;
}

#[tokio::test]
async fn new_keys_are_taken_and_given() {
    let (mut server, mut client) = pair(&[], &[&rustls::version::TLS13]).await.unwrap();
    for round in 0..4_u8 {
        // The client changes its key and asks for the same; our next record is under another key, too.
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(&[round; 3]).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(receive(&mut server, 3).await, [round; 3]);
        send(&mut server, &[round; 5]).await;
        let mut came = [0; 5];
        client.read_exact(&mut came).await.unwrap();
        assert_eq!(came, [round; 5]);
        // Ours of its own accord, as after very many records.
        let Session::Records(records) = &mut server.session else { panic!("secrets are not taken") };
        records.exhaust_write_key();
    }
    talk(server, client).await;
}

#[tokio::test]
async fn what_was_changed_or_repeated_on_the_way_ends_the_connection() {
    for change in [|record: &mut Vec<u8>| record[9] ^= 1, |record: &mut Vec<u8>| record.extend(record.clone())] {
        let (mut server, client) = pair(&[], &[&rustls::version::TLS13]).await.unwrap();
        let (mut io, mut session) = client.into_inner();
        io::Write::write_all(&mut session.writer(), b"hello").unwrap();
        let mut record = Vec::new();
        session.write_tls(&mut record).unwrap();
        change(&mut record);
        io.write_all(&record).await.unwrap();
        let failed = loop {
            match poll_fn(|cx| server.poll_fill(cx)).await {
                Ok(true) => assert_eq!(server.take_plain(), b"hello"),
                other => break other,
            }
        };
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn an_end_without_a_word_is_an_error() {
    let (mut server, client) = pair(&[], &[&rustls::version::TLS13]).await.unwrap();
    let (mut io, _) = client.into_inner();
    io.shutdown().await.unwrap();
    assert_eq!(poll_fn(|cx| server.poll_fill(cx)).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn whoever_asks_for_answers_and_does_not_read_them_is_given_up() {
    let (mut server, client) = pair(&[], &[&rustls::version::TLS13]).await.unwrap();
    let (mut io, mut session) = client.into_inner();
    let refused = async {
        loop {
            match poll_fn(|cx| server.poll_fill(cx)).await {
                Ok(true) => drop(server.take_plain()),
                Ok(false) => panic!("it has not ended"),
                Err(error) => return error,
            }
        }
    };
    let asking = async {
        for _ in 0..5_000 {
            session.refresh_traffic_keys().unwrap();
            let mut records = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut records).unwrap();
            }
            if io.write_all(&records).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        error = refused => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
        () = asking => {}
    }
}

#[tokio::test]
async fn noise_is_no_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(accept(server, Arc::new(config)).await.is_err());
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert");
}
