//! What is generated for gdnsd, as text. `tests/geodns` runs it in a real one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use rookery_deployment::{Deployment, gdnsd};
use serde_json::{Value, json};

fn example() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("example.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn generate(file: &Value) -> Vec<gdnsd::File> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.json");
    fs::write(&path, file.to_string()).unwrap();
    gdnsd::generate(&Deployment::load(&path).unwrap()).unwrap()
}

fn text<'a>(files: &'a [gdnsd::File], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap().text
}

/// The example and a third region without points of presence.
fn three() -> Value {
    let mut file = example();
    file["regions"].as_array_mut().unwrap().push(json!({
        "name": "ap",
        "data_center": "ap",
        "coordinates": { "latitude": 1.35, "longitude": 103.82 },
        "placement": { "networks": ["198.18.0.0/15"], "continents": ["AS"], "countries": ["OC/AU", "OC/NZ"] },
        "nats_urls": ["nats://10.3.0.30:4222"],
        "nodes": [{ "name": "ap-1", "number": 3, "link": "10.3.0.10:8082", "gateway": "ws://10.3.0.10:8081" }],
    }));
    file["geodns"]["database"] = json!("/var/lib/GeoIP/countries.mmdb");
    file
}

#[test]
fn networks_are_sent_to_the_nearest_regions_with_points_of_presence() {
    let files = generate(&three());
    let lines: Vec<&str> = text(&files, "geoip/nets").lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "203.0.113.0/25 => [ eu, us ]",
            "2001:db8:e000::/36 => [ eu, us ]",
            "203.0.113.128/25 => [ us, eu ]",
            // Singapore has none itself, and Falkenstein is nearer to it than Ashburn.
            "198.18.0.0/15 => [ eu, us ]",
        ]
    );
}

#[test]
fn countries_stand_in_their_continents_and_others_go_home() {
    let mut file = three();
    file["default_home"] = json!("us");
    let files = generate(&file);
    let config = text(&files, "config");
    assert!(config.contains("datacenters => [ us, eu ]"), "{config}");
    let map = &config[config.find("map => {\n").unwrap()..config.find("    resources").unwrap()];
    let squeezed = map.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        squeezed,
        "map => { default => [ us, eu ] AS => { default => [ eu, us ] } \
         OC => { default => [ us, eu ] AU => [ eu, us ] NZ => [ eu, us ] } } } }"
    );
}

#[test]
fn the_zone_has_servers_points_of_presence_and_nodes() {
    let files = generate(&example());
    let zone = text(&files, "zones/chat.example.org");
    for line in [
        "@ NS ns1",
        "ns2 AAAA 2001:db8:2::53",
        "@ 30 DYNA geoip!pops",
        "eu.pops 30 DYNA multifo!eu",
        "fsn.pop AAAA 2001:db8:1::1",
        "eu-1 A 192.0.2.10",
        "us-1 A 198.51.100.10",
        "us-voice-1 A 198.51.100.40",
    ] {
        assert_eq!(zone.lines().filter(|found| *found == line).count(), 1, "{line} in\n{zone}");
    }
}

#[test]
fn a_deployment_without_name_servers_generates_nothing() {
    let mut file = example();
    file.as_object_mut().unwrap().remove("geodns");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.json");
    fs::write(&path, file.to_string()).unwrap();
    assert_eq!(gdnsd::generate(&Deployment::load(&path).unwrap()), Err(gdnsd::NoGeoDns));
}
