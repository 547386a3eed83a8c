//! Clients of two places get two points of presence, and none that is not well.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says what it measured")]

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rookery_deployment::Deployment;
use rookery_test_geodns::{Gdnsd, Pops, SKIP_VARIABLE, Says, country_database, until};
use serde_json::{Value, json};

const FSN: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 1);
const HEL: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 2);
const ASH: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 3);
const SIN: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 4);

const EUROPEAN: &str = "203.0.113.7/32";
const AMERICAN: &str = "203.0.113.200/32";
/// Of no region's networks.
const STRANGER: &str = "192.0.2.0/24";

fn region(name: &str, number: u8, place: (f64, f64), networks: &[&str], pops: &[(&str, Ipv4Addr)]) -> Value {
    let pops: Vec<Value> = pops.iter().map(|(name, ip)| json!({ "name": name, "addresses": [ip] })).collect();
    json!({
        "name": name,
        "data_center": name,
        "coordinates": { "latitude": place.0, "longitude": place.1 },
        "placement": { "networks": networks },
        "nodes": [{
            "name": "1",
            "number": number,
            "link": format!("127.0.0.1:{number}"),
            "gateway": format!("wss://{name}.chat.rookery.test"),
            "addresses": [Ipv4Addr::new(127, 0, 54, number)],
        }],
        "pops": pops,
    })
}

fn deployment(health_port: u16, regions: &[Value]) -> Deployment {
    with_database(health_port, regions, None)
}

fn with_database(health_port: u16, regions: &[Value], database: Option<&Path>) -> Deployment {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.json");
    let file = json!({
        "name": "test",
        "domain": "chat.rookery.test",
        "geodns": {
            "name_servers": [{ "name": "ns1", "addresses": ["127.0.0.1"] }, { "name": "ns2", "addresses": ["127.0.0.2"] }],
            "health": { "port": health_port },
            "database": database,
        },
        "regions": regions,
    });
    fs::write(&path, file.to_string()).unwrap();
    Deployment::load(&path).unwrap()
}

/// Europe with two points of presence, America and Asia with one each.
fn regions(american_networks: &[&str]) -> [Value; 3] {
    [
        region("eu", 1, (50.5, 12.4), &["203.0.113.0/25", "2001:db8:e000::/36"], &[("fsn", FSN), ("hel", HEL)]),
        region("us", 2, (39.0, -77.5), american_networks, &[("ash", ASH)]),
        region("ap", 3, (1.4, 103.8), &["198.18.0.0/15"], &[("sin", SIN)]),
    ]
}

fn set(addresses: &[Ipv4Addr]) -> BTreeSet<Ipv4Addr> {
    addresses.iter().copied().collect()
}

#[test]
fn clients_get_the_nearest_point_of_presence_that_is_well() {
    if std::env::var_os(SKIP_VARIABLE).is_some() {
        return;
    }
    let pops = Pops::start(&[FSN, HEL, ASH, SIN]).unwrap();
    let gdnsd = Gdnsd::start(&deployment(pops.port(), &regions(&["203.0.113.128/25"]))).unwrap();
    let expect = |subnet: &str, addresses: &[Ipv4Addr]| until(&set(addresses), || gdnsd.ask("@", subnet)).unwrap();

    // Two clients, two places; who is of none goes to the default home.
    expect(EUROPEAN, &[FSN, HEL]);
    expect(AMERICAN, &[ASH]);
    expect("2001:db8:e123::/48", &[FSN, HEL]);
    expect("198.19.0.0/24", &[SIN]);
    expect(STRANGER, &[FSN, HEL]);
    // Resolvers may keep the answer for that client's network, and no wider.
    let full = gdnsd.ask_in_full("203.0.113.7/32").unwrap();
    assert!(full.contains("CLIENT-SUBNET: 203.0.113.7/32/25"), "{full}");

    // One that says it wants no clients leaves the answers, and returns.
    pops.set(FSN, Says::NotReady);
    let left = expect(EUROPEAN, &[HEL]);
    eprintln!("out of the answers after {left:?}");
    // The other regions' clients notice nothing.
    assert_eq!(gdnsd.ask("@", AMERICAN).unwrap(), set(&[ASH]));
    // Its own name stays: whoever wants this one and no other can have it.
    assert_eq!(gdnsd.ask("fsn.pop", EUROPEAN).unwrap(), set(&[FSN]));

    // With the second gone too, the next nearest region stands in: America, not Asia.
    pops.set(HEL, Says::Nothing);
    expect(EUROPEAN, &[ASH]);
    pops.set(ASH, Says::Nothing);
    expect(EUROPEAN, &[SIN]);
    // Nobody is well: better the nearest, which may work all the same, than none.
    pops.set(SIN, Says::NotReady);
    expect(EUROPEAN, &[FSN, HEL]);

    // America is back first: Europeans go there again before their own are.
    pops.set(ASH, Says::Ready);
    expect(EUROPEAN, &[ASH]);
    for pop in [FSN, HEL, SIN] {
        pops.set(pop, Says::Ready);
    }
    expect(EUROPEAN, &[FSN, HEL]);
    expect(AMERICAN, &[ASH]);

    // A network that moves to another region needs no restart.
    assert_eq!(gdnsd.ask("@", "100.64.3.0/24").unwrap(), set(&[FSN, HEL]));
    gdnsd.write_nets(&deployment(pops.port(), &regions(&["203.0.113.128/25", "100.64.0.0/16"]))).unwrap();
    let moved = expect("100.64.3.0/24", &[ASH]);
    eprintln!("a network moved after {moved:?}");

    // Nodes and regions are found by name.
    assert_eq!(gdnsd.ask("us", EUROPEAN).unwrap(), set(&[Ipv4Addr::new(127, 0, 54, 2)]));
    assert_eq!(gdnsd.ask("us.pops", EUROPEAN).unwrap(), set(&[ASH]));
}

#[test]
fn gdnsd_takes_what_is_generated_of_the_example() {
    if std::env::var_os(SKIP_VARIABLE).is_some() {
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deployment/example.json");
    rookery_test_geodns::check(&Deployment::load(&example).unwrap()).unwrap();
}

#[test]
fn countries_and_continents_have_their_regions() {
    if std::env::var_os(SKIP_VARIABLE).is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("countries.mmdb");
    let networks = [
        (Ipv4Addr::new(198, 51, 100, 0), 24, "NA", "US"),
        (Ipv4Addr::new(203, 0, 113, 0), 25, "AS", "JP"),
        (Ipv4Addr::new(203, 0, 113, 128), 25, "AS", "TR"),
        (Ipv4Addr::new(192, 0, 2, 0), 24, "AF", "KE"),
    ];
    country_database::write(&database, &networks).unwrap();
    let pops = Pops::start(&[FSN, HEL, ASH, SIN]).unwrap();
    let mut regions = regions(&[]);
    regions[0]["placement"] = json!({ "countries": ["AS/TR"], "networks": ["192.0.2.128/25"] });
    regions[1]["placement"] = json!({ "continents": ["NA"], "networks": [] });
    regions[2]["placement"] = json!({ "continents": ["AS", "AF"] });
    let gdnsd = Gdnsd::start(&with_database(pops.port(), &regions, Some(&database))).unwrap();
    let expect = |subnet: &str, addresses: &[Ipv4Addr]| until(&set(addresses), || gdnsd.ask("@", subnet)).unwrap();
    expect("198.51.100.7/32", &[ASH]);
    expect("203.0.113.7/32", &[SIN]);
    // A country goes before its continent, and a network before its country.
    expect("203.0.113.200/32", &[FSN, HEL]);
    expect("192.0.2.7/32", &[SIN]);
    expect("192.0.2.200/32", &[FSN, HEL]);
    // Whom the database does not know goes to the default home.
    expect("100.64.0.0/24", &[FSN, HEL]);
}
