//! What only servers and connections can do wrong.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rookery_bus::{Bus, BusConfig, BusKind, ConnectError, Health, PublishError, Received};
use rustix::process::Signal;

use crate::server::Server;
use crate::stage::{LIMIT, becomes, next, next_message, settle, subject};

async fn connect(url: String, config: BusConfig) -> Bus {
    let bus = Bus::connect(&BusConfig { kind: BusKind::Nats, urls: vec![url], ..config }, "test").await.unwrap();
    becomes(&bus, Health::Connected).await;
    bus
}

/// Three clusters of one server each; every gateway knows the first, and the others of it.
async fn supercluster() -> Option<[Server; 3]> {
    let gateway = |name: &str, seeds: &str| {
        format!(
            "server_name: {name}\ncluster {{ name: {name}, listen: \"127.0.0.1:-1\" }}\n\
             gateway {{ name: {name}, listen: \"127.0.0.1:-1\", gateways: [{seeds}] }}"
        )
    };
    let eu = Server::start(&gateway("eu", "")).await?;
    let seed = format!("{{ name: eu, url: \"{}\" }}", eu.gateway_url().await);
    let us = Server::start(&gateway("us", &seed)).await?;
    let ap = Server::start(&gateway("ap", &seed)).await?;
    Some([eu, us, ap])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_crosses_gateways_once() {
    let Some(servers) = supercluster().await else { return };
    let mut nodes = Vec::new();
    for server in &servers {
        nodes.push(connect(server.url(), BusConfig::default()).await);
    }
    for to in 0..3 {
        let name = format!("node-{to}");
        let mut subscription = nodes[to].subscribe(&subject(&name)).await.unwrap();
        for from in &nodes {
            settle(from, &subject(&name), &mut subscription).await;
            for number in 0..200_u8 {
                from.publish(&subject(&name), Bytes::copy_from_slice(&[number])).unwrap();
            }
            for number in 0..200_u8 {
                assert_eq!(next(&mut subscription).await, Some(Received::Message(Bytes::copy_from_slice(&[number]))));
            }
        }
        nodes[0].publish(&subject(&name), Bytes::from_static(b"last")).unwrap();
        assert_eq!(next_message(&mut subscription).await, "last", "no message came twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_costs_messages_and_nothing_else() {
    let Some(mut server) = Server::start("").await else { return };
    let a = connect(server.url(), BusConfig::default()).await;
    let b = connect(server.url(), BusConfig::default()).await;
    let mut subscription = b.subscribe(&subject("b")).await.unwrap();
    settle(&a, &subject("b"), &mut subscription).await;
    let publisher = tokio::spawn({
        let a = a.clone();
        async move {
            let (mut number, mut longest, mut refused) = (0_u64, Duration::ZERO, 0_u64);
            // Until the bus is drained.
            loop {
                let start = Instant::now();
                let result = a.publish(&subject("b"), Bytes::copy_from_slice(&number.to_be_bytes()));
                longest = longest.max(start.elapsed());
                number += 1;
                match result {
                    Ok(()) => {}
                    Err(PublishError::Closed) => return (longest, refused),
                    Err(PublishError::Full | PublishError::Disconnected) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                if number.is_multiple_of(32) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    });
    let (mut before, mut interrupted) = (None, 0_u32);
    for _ in 0..3 {
        // Some arrive, then the server ends in the midst of them.
        for _ in 0..500 {
            expect_later(&mut subscription, &mut before, &mut interrupted).await;
        }
        let interruptions = interrupted;
        server.kill().await;
        becomes(&b, Health::Disconnected).await;
        server.start_again().await;
        while interrupted == interruptions {
            expect_later(&mut subscription, &mut before, &mut interrupted).await;
        }
    }
    expect_later(&mut subscription, &mut before, &mut interrupted).await;
    a.drain(Duration::from_secs(20)).await;
    let (longest, refused) = publisher.await.unwrap();
    assert!(longest < Duration::from_secs(1), "a publisher waited {longest:?}");
    assert!(refused > 0, "a loss that is not told");
}

/// The next message is later than all before it.
async fn expect_later(subscription: &mut rookery_bus::Subscription, before: &mut Option<u64>, interrupted: &mut u32) {
    match next(subscription).await {
        Some(Received::Message(payload)) if payload.len() == 8 => {
            let number = u64::from_be_bytes(payload[..].try_into().unwrap());
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
            *before = Some(number);
        }
        Some(Received::Interrupted) => *interrupted += 1,
        Some(Received::Message(_) | Received::Lost(_)) => {}
        None => panic!("the bus is open"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_nothing_fills_the_queue_and_no_more() {
    let Some(server) = Server::start("").await else { return };
    let limits = BusConfig {
        publish_queue_bytes: 4 * 1024 * 1024,
        // The server is silent, and is not to be given up for it here.
        ping_interval_ms: 60_000,
        ..BusConfig::default()
    };
    let bus = connect(server.url(), limits).await;
    server.signal(Signal::STOP);
    let payload = Bytes::from(vec![7; 512 * 1024]);
    // The sockets and the client hold some; then the queue is full, in messages of this size after few of them.
    let mut taken = 0;
    let start = Instant::now();
    loop {
        match bus.publish(&subject("x"), payload.clone()) {
            Ok(()) => taken += 1,
            Err(error) => {
                assert_eq!(error, PublishError::Full);
                if bus_is_stuck(&bus, &payload).await {
                    break;
                }
            }
        }
        assert!(taken < 200, "{taken} messages of half a megabyte are held");
        assert!(start.elapsed() < LIMIT);
    }
    let start = Instant::now();
    bus.drain(Duration::from_millis(300)).await;
    assert!(start.elapsed() < Duration::from_secs(10), "a drain keeps its deadline");
    assert_eq!(bus.health(), Health::Closed);
    server.signal(Signal::CONT);
}

/// Whether the queue stays full.
async fn bus_is_stuck(bus: &Bus, payload: &Bytes) -> bool {
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if bus.publish(&subject("x"), payload.clone()).is_ok() {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_given_up() {
    let Some(server) = Server::start("").await else { return };
    let bus = connect(server.url(), BusConfig { ping_interval_ms: 100, ..BusConfig::default() }).await;
    server.signal(Signal::STOP);
    becomes(&bus, Health::Disconnected).await;
    server.signal(Signal::CONT);
    becomes(&bus, Health::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_limit_holds_where_it_is_lower() {
    let Some(server) = Server::start("max_payload: 1000").await else { return };
    let bus = connect(server.url(), BusConfig::default()).await;
    let error = bus.publish(&subject("x"), Bytes::from(vec![0; 1001])).unwrap_err();
    assert_eq!(error, PublishError::TooLarge { size: 1001, limit: 1000 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_before_its_server() {
    let Some(mut server) = Server::start("").await else { return };
    server.kill().await;
    let config = BusConfig { kind: BusKind::Nats, urls: vec![server.url()], ..BusConfig::default() };
    let bus = Bus::connect(&config, "early").await.unwrap();
    assert_eq!(bus.health(), Health::Disconnected);
    assert_eq!(bus.publish(&subject("x"), Bytes::new()), Err(PublishError::Disconnected));
    let mut subscription = bus.subscribe(&subject("x")).await.unwrap();
    server.start_again().await;
    becomes(&bus, Health::Connected).await;
    settle(&bus, &subject("x"), &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_servers_prove_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: String| std::fs::write(path(name), text).unwrap();
    let issuer = authority();
    for (name, subject) in [("server", "127.0.0.1"), ("node", "node-1")] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([subject.to_owned()]).unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, &issuer.1).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    write("ca.pem", issuer.0.clone());
    write("other-ca.pem", authority().0);
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    );
    let Some(server) = Server::start(&tls).await else { return };
    let url = server.url();
    let of_node = BusConfig {
        kind: BusKind::Nats,
        urls: vec![url.replace("nats://", "tls://")],
        tls_ca_file: Some(path("ca.pem")),
        tls_cert_file: Some(path("node.pem")),
        tls_key_file: Some(path("node.key")),
        ..BusConfig::default()
    };
    // A server of somebody else, and a node that has no certificate.
    let stranger = BusConfig { tls_ca_file: Some(path("other-ca.pem")), ..of_node.clone() };
    let stranger = Bus::connect(&stranger, "stranger").await.unwrap();
    server.wait_for("TLS handshake error").await;
    assert_eq!(stranger.health(), Health::Disconnected);
    drop(stranger);
    let nobody = BusConfig { tls_cert_file: None, tls_key_file: None, ..of_node.clone() };
    let nobody = Bus::connect(&nobody, "nobody").await.unwrap();
    server.wait_for("client didn't provide a certificate").await;
    assert_eq!(nobody.health(), Health::Disconnected);

    let bus = Bus::connect(&of_node, "node-1").await.unwrap();
    becomes(&bus, Health::Connected).await;
    let mut subscription = bus.subscribe(&subject("x")).await.unwrap();
    settle(&bus, &subject("x"), &mut subscription).await;
}

/// A certificate authority: its certificate, and what signs with it.
fn authority() -> (String, rcgen::Issuer<'static, rcgen::KeyPair>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), rcgen::Issuer::new(params, key))
}

/// A token that a key signs, as NATS has them.
fn token(issuer: &nkeys::KeyPair, subject: &nkeys::KeyPair, kind: &str, more: serde_json::Value) -> String {
    let mut nats = serde_json::json!({"type": kind, "version": 2});
    for (name, value) in more.as_object().unwrap() {
        nats[name] = value.clone();
    }
    let claims = serde_json::json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": kind,
        "nats": nats,
    });
    let part = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let text = format!("{}.{}", part(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#), part(claims.to_string().as_bytes()));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", part(&signature))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_lets_in() {
    let (operator, account, user) =
        (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_account(), nkeys::KeyPair::new_user());
    let limits = serde_json::json!({"limits": {
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    }});
    let any = serde_json::json!({"subs": -1, "data": -1, "payload": -1});
    let config = format!(
        "operator: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {} }}",
        token(&operator, &operator, "operator", serde_json::json!({})),
        account.public_key(),
        token(&operator, &account, "account", limits),
    );
    let Some(server) = Server::start(&config).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(&account, &user, "user", any),
        user.seed().unwrap(),
    );
    std::fs::write(&file, text).unwrap();
    let of_nobody = BusConfig { kind: BusKind::Nats, urls: vec![server.url()], ..BusConfig::default() };
    let nobody = Bus::connect(&of_nobody, "nobody").await.unwrap();
    server.wait_for("authentication error").await;
    assert_eq!(nobody.health(), Health::Disconnected);
    let bus = connect(server.url(), BusConfig { credentials_file: Some(file), ..BusConfig::default() }).await;
    let mut subscription = bus.subscribe(&subject("x")).await.unwrap();
    settle(&bus, &subject("x"), &mut subscription).await;
}

#[tokio::test]
async fn what_cannot_work_is_said_at_once() {
    let config = BusConfig { kind: BusKind::Nats, ..BusConfig::default() };
    assert!(matches!(Bus::connect(&config, "x").await, Err(ConnectError::Config(mistakes)) if mistakes.len() == 1));
    let urls = vec!["nats://127.0.0.1:4222".to_owned()];
    for field in 0..2 {
        let mut config = BusConfig { kind: BusKind::Nats, urls: urls.clone(), ..BusConfig::default() };
        let file = if field == 0 { &mut config.credentials_file } else { &mut config.tls_ca_file };
        *file = Some("/no/such/file".into());
        let error = Bus::connect(&config, "x").await.err().expect("the file is not there");
        assert!(error.to_string().starts_with("/no/such/file: "), "{error}");
    }
}
