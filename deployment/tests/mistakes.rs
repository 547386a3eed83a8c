//! Wrong deployments: every mistake is told, with its path.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use rookery_deployment::{Deployment, NodeNumber};
use rookery_service::ConfigErrors;
use serde_json::{Value, json};

fn example() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("example.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn load_text(text: &str) -> Result<Deployment, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.json");
    fs::write(&path, text).unwrap();
    Deployment::load(&path)
}

/// The mistakes of the example after changes, as `path: problem` without the hints behind.
fn mistakes(changes: &[(&str, Value)]) -> Vec<String> {
    let mut file = example();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match file.pointer_mut(parent).unwrap() {
            Value::Object(table) => _ = table.insert(key.to_owned(), value.clone()),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{pointer} is in {other}"),
        }
    }
    let errors = load_text(&file.to_string()).expect_err("it has mistakes");
    errors.mistakes().iter().map(|mistake| format!("{}: {}", mistake.path, mistake.problem)).collect()
}

#[test]
fn the_example_is_read_whole() {
    let deployment = Deployment::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("example.json")).unwrap();
    assert_eq!(deployment.regions().len(), 2);
    assert_eq!(deployment.default_home().name, "eu");
    let (region, node) = deployment.node(NodeNumber::try_from(2).unwrap()).unwrap();
    assert_eq!((region.name.as_str(), node.name.as_str()), ("us", "us-1"));
    assert!(deployment.node(NodeNumber::try_from(3).unwrap()).is_none());
    assert_eq!(deployment.pops().count(), 3);
    let voice: Vec<_> = deployment.voice_nodes().map(|(region, node)| (&*region.name, node.number.get())).collect();
    assert_eq!(voice, [("eu", 1), ("us", 2)]);
    assert_eq!(deployment.region("us").unwrap().node("us-1").unwrap().link.to_string(), "us-1.chat.example.org:8082");
}

#[test]
fn the_first_region_is_the_default_home_unless_one_is_named() {
    let mut file = example();
    file.as_object_mut().unwrap().remove("default_home");
    file["regions"].as_array_mut().unwrap().reverse();
    assert_eq!(load_text(&file.to_string()).unwrap().default_home().name, "us");
}

#[test]
fn global_durability_needs_three_regions() {
    let found = mistakes(&[("/durability", json!("global"))]);
    assert_eq!(found, ["durability: \"global\" cannot be kept by 2 regions: the loss of one would end every majority"]);
    let mut file = example();
    let mut third = file["regions"][1].clone();
    third["name"] = json!("ap");
    third["data_center"] = json!("ap");
    third.as_object_mut().unwrap().remove("machines");
    third["placement"] = json!({});
    third["pops"] = json!([]);
    third["voice_nodes"] = json!([]);
    third["nodes"][0]["number"] = json!(3);
    third["nodes"][0]["link"] = json!("ap-1.chat.example.org:8082");
    file["regions"].as_array_mut().unwrap().push(third);
    file["durability"] = json!("global");
    load_text(&file.to_string()).unwrap();
}

#[test]
fn what_must_be_unique_is_told_at_the_second_place() {
    let found = mistakes(&[
        ("/geodns/name_servers/1/region", json!("eu")),
        ("/regions/1/name", json!("eu")),
        ("/regions/1/data_center", json!("eu")),
        ("/regions/1/placement/networks", json!(["203.0.113.0/25"])),
        ("/regions/1/nodes/0/number", json!(1)),
        ("/regions/1/nodes/0/link", json!("eu-1.chat.example.org:8082")),
        ("/regions/1/pops/0", json!({ "name": "fsn", "addresses": ["192.0.2.2"] })),
    ]);
    assert_eq!(
        found,
        [
            "regions.1.name: name eu is that of eu already",
            "regions.1.data_center: data centre eu is that of eu already",
            "regions.1.nodes.0.number: number 1 is that of eu-1 already",
            "regions.1.nodes.0.link: link eu-1.chat.example.org:8082 is that of eu-1 already",
            "regions.1.pops.0.name: name fsn is that of eu already",
            "regions.1.pops.0.addresses.0: address 192.0.2.2 is that of hel already",
            "regions.1.placement.networks.0: network 203.0.113.0/25 is that of eu already",
        ]
    );
}

#[test]
fn a_node_name_is_unique_in_its_region_only() {
    let mut file = example();
    file["regions"][1]["nodes"][0]["name"] = json!("eu-1");
    load_text(&file.to_string()).unwrap();
    let mut second = file["regions"][0]["nodes"][0].clone();
    second["number"] = json!(3);
    second["link"] = json!("10.1.0.2:8082");
    file["regions"][0]["nodes"].as_array_mut().unwrap().push(second);
    let errors = load_text(&file.to_string()).unwrap_err();
    assert_eq!(errors.mistakes()[0].path, "regions.0.nodes.1.name");
}

#[test]
fn voice_nodes_need_a_bus() {
    let found = mistakes(&[
        ("/bus", json!("local")),
        ("/regions/0/machines/bus_addresses", json!([])),
        ("/regions/1/machines/bus_addresses", json!([])),
        ("/regions/1/voice_nodes", json!([])),
    ]);
    assert_eq!(found, ["regions.0.voice_nodes: cannot be found by the bus, which is \"local\""]);
}

#[test]
fn values_that_cannot_work_are_refused() {
    let cases = [
        ("/name", json!("Example"), "name: is no name"),
        ("/name", json!("x".repeat(33)), "name: is no name"),
        ("/domain", json!("chat"), "domain: is no domain"),
        ("/domain", json!("chat.example.org."), "domain: is no domain"),
        ("/default_home", json!("mars"), "default_home: there is no region \"mars\""),
        ("/regions/1/pops/0/name", json!("-us"), "regions.1.pops.0.name: is no name"),
        ("/regions/0/nats_urls", json!([]), "regions.0.nats_urls: is empty, and the bus is \"nats\""),
        ("/regions/0/nats_urls/0", json!("nats://10.1.0.30"), "regions.0.nats_urls.0: is no NATS server"),
        ("/regions/0/nats_urls/0", json!("nats://u:p@10.1.0.30:1"), "regions.0.nats_urls.0: is no NATS server"),
        ("/regions/0/nodes", json!([]), "regions.0.nodes: is empty"),
        (
            "/regions/0/nodes/0/gateway",
            json!("wss://h.example/?v=10"),
            "regions.0.nodes.0.gateway: is no gateway's URL",
        ),
        ("/regions/0/nodes/0/gateway", json!("wss://h.example/"), "regions.0.nodes.0.gateway: is no gateway's URL"),
        (
            "/regions/0/nodes/0/gateway",
            json!("wss://h.example:99999"),
            "regions.0.nodes.0.gateway: is no gateway's URL",
        ),
        ("/regions/0/nodes/0/gateway", json!("ws://h.example"), "regions.0.nodes.0.gateway: sends tokens in clear"),
        (
            "/regions/0/nodes/0/webtransport",
            json!("http://h.example"),
            "regions.0.nodes.0.webtransport: is no WebTransport URL",
        ),
        ("/regions/0/nodes/0/addresses", json!(["0.0.0.0"]), "regions.0.nodes.0.addresses.0: is no host's address"),
        ("/regions/0/pops/0/addresses", json!([]), "regions.0.pops.0.addresses: is empty"),
        ("/regions/0/voice_nodes/0/name", json!("EU"), "regions.0.voice_nodes.0.name: is no name"),
        ("/regions/0/voice_nodes/0/addresses", json!([]), "regions.0.voice_nodes.0.addresses: is empty"),
        (
            "/regions/1/voice_nodes/0/number",
            json!(1),
            "regions.1.voice_nodes.0.number: number 1 is that of eu-voice-1 already",
        ),
        (
            "/regions/1/voice_nodes/0/endpoint",
            json!("eu-voice-1.chat.example.org:443"),
            "regions.1.voice_nodes.0.endpoint: endpoint eu-voice-1.chat.example.org:443 is that of eu-voice-1 already",
        ),
        (
            "/regions/1/machines/voice_type",
            json!(null),
            "regions.1.machines.voice_type: is missing, and there are voice nodes",
        ),
        ("/regions/0/coordinates/latitude", json!(91), "regions.0.coordinates: is no place on earth"),
        (
            "/regions/0/placement/networks/0",
            json!("203.0.113.1/25"),
            "regions.0.placement.networks.0: 203.0.113.1/25 has bits behind its prefix",
        ),
        ("/regions/1/machines/network", json!("10.2.0.0/25"), "regions.1.machines.network: is no private network"),
        ("/regions/1/machines/network", json!("8.8.0.0/16"), "regions.1.machines.network: is no private network"),
        (
            "/regions/1/machines/network",
            json!("10.1.128.0/17"),
            "regions.1.machines.network: 10.1.128.0/17 overlaps that of eu",
        ),
        ("/regions/1/machines/location", json!("Ashburn"), "regions.1.machines.location: is no name"),
        (
            "/regions/1/machines/bus_addresses",
            json!([]),
            "regions.1.machines.bus_addresses: is empty, and the bus is \"nats\"",
        ),
        (
            "/regions/1/machines/database_addresses",
            json!(["192.0.2.20"]),
            "regions.1.machines.database_addresses.0: address 192.0.2.20 is that of eu already",
        ),
        ("/geodns/name_servers/0/region", json!("mars"), "geodns.name_servers.0.region: there is no region \"mars\""),
        ("/geodns/name_servers", json!([]), "geodns.name_servers: is empty"),
        ("/geodns/health", json!({ "path": "readyz" }), "geodns.health.path: is no path"),
        ("/geodns/health", json!({ "interval_seconds": 1 }), "geodns.health.interval_seconds: is out of range"),
        ("/geodns/health", json!({ "timeout_seconds": 2 }), "geodns.health.timeout_seconds: is out of range"),
        ("/geodns/ttl_seconds", json!(0), "geodns.ttl_seconds: is out of range"),
        ("/geodns/database", json!("x.mmdb"), "geodns.database: is no plain absolute path"),
        (
            "/regions/1/placement",
            json!({ "countries": ["NA/US"] }),
            "regions.1.placement: names countries or continents, which only a GeoIP database knows",
        ),
    ];
    for (pointer, value, expected) in cases {
        assert_eq!(mistakes(&[(pointer, value)]), [expected], "{pointer}");
    }
    // Loopback and private addresses may do without TLS: labs.
    for url in ["ws://127.0.0.1:8081", "ws://10.1.0.2:8081", "ws://[::1]:8081"] {
        let mut file = example();
        file["regions"][0]["nodes"][0]["gateway"] = json!(url);
        load_text(&file.to_string()).unwrap();
    }
}

#[test]
fn values_of_wrong_types_and_unknown_keys_are_told_together() {
    let found = mistakes(&[
        ("/durabilty", json!("global")),
        ("/bus", json!("kafka")),
        ("/regions/0/nodes/0/number", json!(128)),
        ("/regions/1/nodes/0/number", json!(0)),
        ("/regions/0/nodes/0/link", json!("eu-1:99999")),
        ("/regions/1/placement/networks/0", json!("203.0.113.0/33")),
    ]);
    for path in [
        "durabilty",
        "bus",
        "regions.0.nodes.0.number",
        "regions.1.nodes.0.number",
        "regions.0.nodes.0.link",
        "regions.1.placement.networks.0",
    ] {
        assert!(found.iter().any(|line| line.starts_with(&format!("{path}: "))), "{path} is missing: {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn a_name_of_the_zone_needs_addresses() {
    let found = mistakes(&[("/regions/0/nodes/0/addresses", json!([]))]);
    assert_eq!(found, ["regions.0.nodes.0.addresses: is empty, and eu-1.chat.example.org is a name of the zone"]);
}

#[test]
fn three_regions_with_name_servers_need_places() {
    let mut file = example();
    let mut third = file["regions"][1].clone();
    third["name"] = json!("ap");
    third["data_center"] = json!("ap");
    third.as_object_mut().unwrap().remove("machines");
    third["placement"] = json!({});
    third["pops"] = json!([]);
    third["voice_nodes"] = json!([]);
    third["nodes"][0]["number"] = json!(3);
    third["nodes"][0]["link"] = json!("10.3.0.1:1");
    third.as_object_mut().unwrap().remove("coordinates");
    file["regions"].as_array_mut().unwrap().push(third);
    let errors = load_text(&file.to_string()).unwrap_err();
    assert_eq!(errors.mistakes().len(), 1);
    assert_eq!(errors.mistakes()[0].path, "regions.2.coordinates");
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let errors = load_text("{\n  \"name\": \"example\",\n}").unwrap_err();
    let mistake = &errors.mistakes()[0];
    assert_eq!(mistake.problem, "not JSON: trailing comma");
    assert!(mistake.source.as_ref().unwrap().ends_with("deployment.json:3:1"), "{mistake}");
    assert!(load_text("[]").is_err());
    assert!(load_text("").is_err());
    let missing = Deployment::load(Path::new("/nowhere/deployment.json")).unwrap_err();
    assert!(missing.mistakes()[0].problem.starts_with("cannot read the file"), "{missing}");
}
