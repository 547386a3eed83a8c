//! What must hold in a deployment beyond what its types say.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use rookery_service::Mistakes;

use crate::geodns::GeoDns;
use crate::{Bus, Deployment, Durability, GLOBAL_MIN_REGIONS, Machines, Node, Region, VoiceNode};

/// Longest name of a region, node or point of presence.
const NAME_MAX_CHARS: usize = 32;
const NAME: &str = "1 to 32 lower-case letters, digits and dashes, with none of the latter at its ends";
/// gdnsd knows no shorter one.
const HEALTH_INTERVAL_MIN_SECONDS: u32 = 2;
const HEALTH_INTERVAL_MAX_SECONDS: u32 = 300;
const TTL_MIN_SECONDS: u32 = 5;
const TTL_MAX_SECONDS: u32 = 3_600;

/// Whether text can be a label of names, subjects and files.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_MAX_CHARS).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether text is a DNS name in lower case, without the dot of the root.
pub(crate) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Names whose last label is a number would be taken for addresses.
    let last_is_word = text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && last_is_word && text.split('.').all(is_label)
}

pub(crate) fn check(deployment: &Deployment, mistakes: &mut Mistakes) {
    mistakes.require(is_name(&deployment.name), "name", "is no name", NAME);
    let is_domain = is_host_name(&deployment.domain) && deployment.domain.contains('.');
    mistakes.require(is_domain, "domain", "is no domain", "a DNS name in lower case such as chat.example.org");
    let count = deployment.regions.len();
    mistakes.require(count > 0, "regions", "is empty", "at least one region");
    let is_survivable = deployment.durability != Durability::Global || count >= GLOBAL_MIN_REGIONS;
    let problem = format!("\"global\" cannot be kept by {count} regions: the loss of one would end every majority");
    mistakes.require(is_survivable, "durability", problem, "three regions or more, or \"regional\"");
    if let Some(home) = &deployment.default_home {
        let problem = format!("there is no region {home:?}");
        let names: Vec<&str> = deployment.regions.iter().map(|region| region.name.as_str()).collect();
        let is_known = deployment.region(home).is_some();
        mistakes.require(is_known, "default_home", problem, format!("one of {}", names.join(", ")));
    }
    for (index, region) in deployment.regions.iter().enumerate() {
        check_region(deployment, region, &format!("regions.{index}"), mistakes);
    }
    check_unique(deployment, mistakes);
    if let Some(geodns) = &deployment.geodns {
        check_geodns(deployment, geodns, mistakes);
    }
}

fn check_region(deployment: &Deployment, region: &Region, path: &str, mistakes: &mut Mistakes) {
    let at = |key: &str| format!("{path}.{key}");
    mistakes.require(is_name(&region.name), &at("name"), "is no name", NAME);
    // CQL takes more, but it stands unquoted in configuration files.
    mistakes.require(is_name(&region.data_center), &at("data_center"), "is no name", NAME);
    mistakes.require(!region.nodes.is_empty(), &at("nodes"), "is empty", "at least one node");
    if let Some(place) = region.coordinates {
        let is_on_earth = place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0;
        mistakes.require(is_on_earth, &at("coordinates"), "is no place on earth", "degrees within ±90 and ±180");
    }
    let needs_urls = deployment.bus == Bus::Nats;
    mistakes.require(
        !needs_urls || !region.nats_urls.is_empty(),
        &at("nats_urls"),
        "is empty, and the bus is \"nats\"",
        "[\"nats://host:port\", …]",
    );
    for (index, url) in region.nats_urls.iter().enumerate() {
        let is_nats = url_authority(url, &["nats", "tls"]).is_some_and(|it| it.ends_at_authority && it.has_port);
        mistakes.require(is_nats, &at(&format!("nats_urls.{index}")), "is no NATS server", "nats://host:port");
    }
    for (index, network) in region.placement.networks.iter().enumerate() {
        let is_whole = network.addr() == network.network();
        let expected = network.trunc().to_string();
        let problem = format!("{network} has bits behind its prefix");
        mistakes.require(is_whole, &at(&format!("placement.networks.{index}")), problem, expected);
    }
    if let Some(machines) = &region.machines {
        check_machines(deployment, machines, &at("machines"), mistakes);
        let has_type = machines.voice_type.is_some() || region.voice_nodes.is_empty();
        mistakes.require(has_type, &at("machines.voice_type"), "is missing, and there are voice nodes", NAME);
    }
    let has_bus = deployment.bus == Bus::Nats || region.voice_nodes.is_empty();
    mistakes.require(has_bus, &at("voice_nodes"), "cannot be found by the bus, which is \"local\"", "\"nats\"");
    for (index, node) in region.voice_nodes.iter().enumerate() {
        check_voice_node(node, &at(&format!("voice_nodes.{index}")), mistakes);
    }
    for (index, node) in region.nodes.iter().enumerate() {
        check_node(deployment, node, &at(&format!("nodes.{index}")), mistakes);
    }
    for (index, pop) in region.pops.iter().enumerate() {
        mistakes.require(is_name(&pop.name), &at(&format!("pops.{index}.name")), "is no name", NAME);
        check_addresses(&pop.addresses, &at(&format!("pops.{index}.addresses")), mistakes);
    }
}

fn check_node(deployment: &Deployment, node: &Node, path: &str, mistakes: &mut Mistakes) {
    let at = |key: &str| format!("{path}.{key}");
    mistakes.require(is_name(&node.name), &at("name"), "is no name", NAME);
    let gateway = url_authority(&node.gateway, &["wss", "ws"]);
    // Libraries put `/?v=10` behind it.
    let is_bare = gateway.as_ref().is_some_and(|url| url.ends_at_authority);
    mistakes.require(is_bare, &at("gateway"), "is no gateway's URL", "wss://host[:port] without a path");
    if let Some(url) = gateway.as_ref().filter(|_| is_bare) {
        let is_hidden = url.scheme == "wss" || is_private(&url.host);
        let problem = "sends tokens in clear";
        mistakes.require(is_hidden, &at("gateway"), problem, "wss:// for anything but private addresses");
    }
    if let Some(webtransport) = &node.webtransport {
        let is_https = url_authority(webtransport, &["https"]).is_some();
        mistakes.require(is_https, &at("webtransport"), "is no WebTransport URL", "https://host[:port][/path]");
    }
    for (index, address) in node.addresses.iter().enumerate() {
        let is_usable = !address.is_unspecified() && !address.is_multicast();
        mistakes.require(is_usable, &at(&format!("addresses.{index}")), "is no host's address", "one address");
    }
    let hosts = [Some(node.link.host()), gateway.as_ref().map(|url| url.host.as_str())];
    let under_domain = hosts.into_iter().flatten().find(|host| deployment.label_of(host).is_some());
    if let (Some(host), Some(_), true) = (under_domain, &deployment.geodns, node.addresses.is_empty()) {
        let problem = format!("is empty, and {host} is a name of the zone");
        mistakes.push(&at("addresses"), problem, "the public addresses of the node");
    }
}

fn check_voice_node(node: &VoiceNode, path: &str, mistakes: &mut Mistakes) {
    mistakes.require(is_name(&node.name), &format!("{path}.name"), "is no name", NAME);
    check_addresses(&node.addresses, &format!("{path}.addresses"), mistakes);
}

fn check_machines(deployment: &Deployment, machines: &Machines, path: &str, mistakes: &mut Mistakes) {
    let at = |key: &str| format!("{path}.{key}");
    let network = machines.network;
    let is_whole = network.addr() == network.network() && Machines::PREFIXES.contains(&network.prefix_len());
    let is_private = network.addr().is_private();
    mistakes.require(is_whole && is_private, &at("network"), "is no private network", "such as 10.1.0.0/16");
    let words = [
        ("location", &machines.location),
        ("network_zone", &machines.network_zone),
        ("node_type", &machines.node_type),
        ("pop_type", &machines.pop_type),
        ("database_type", &machines.database_type),
        ("bus_type", &machines.bus_type),
    ];
    let voice_type = machines.voice_type.iter().map(|word| ("voice_type", word));
    for (key, word) in words.into_iter().chain(voice_type) {
        mistakes.require(is_name(word), &at(key), "is no name", NAME);
    }
    let count = machines.database_addresses.len();
    mistakes.require(count > 0, &at("database_addresses"), "is empty", "three addresses, one a node of the database");
    let needs_bus = deployment.bus == Bus::Nats;
    let has_bus = !machines.bus_addresses.is_empty();
    mistakes.require(
        needs_bus == has_bus,
        &at("bus_addresses"),
        if needs_bus { "is empty, and the bus is \"nats\"" } else { "has servers, and the bus is \"local\"" },
        "one address a NATS server, or none",
    );
}

fn check_addresses(addresses: &[IpAddr], path: &str, mistakes: &mut Mistakes) {
    mistakes.require(!addresses.is_empty(), path, "is empty", "at least one IPv4 or IPv6 address");
    for (index, address) in addresses.iter().enumerate() {
        let is_usable = !address.is_unspecified() && !address.is_multicast();
        mistakes.require(is_usable, &format!("{path}.{index}"), "is no host's address", "an IPv4 or IPv6 address");
    }
}

/// Notes values that stand twice where each may stand once, at the later place.
struct Unique<'a, K> {
    what: &'static str,
    first: HashMap<K, &'a str>,
    mistakes: Vec<(String, String)>,
}

impl<'a, K: Hash + Eq + ToString> Unique<'a, K> {
    fn new(what: &'static str) -> Self {
        Self { what, first: HashMap::new(), mistakes: Vec::new() }
    }

    fn add(&mut self, value: K, owner: &'a str, path: String) {
        match self.first.get(&value) {
            Some(first) => {
                self.mistakes.push((path, format!("{} {} is that of {first} already", self.what, value.to_string())));
            }
            None => _ = self.first.insert(value, owner),
        }
    }

    fn tell(self, mistakes: &mut Mistakes) {
        for (path, problem) in self.mistakes {
            mistakes.push(&path, problem, format!("a {} of its own", self.what));
        }
    }
}

fn check_unique(deployment: &Deployment, mistakes: &mut Mistakes) {
    let (mut names, mut centers) = (Unique::new("name"), Unique::new("data centre"));
    let (mut numbers, mut links) = (Unique::new("number"), Unique::new("link"));
    let (mut pop_names, mut pop_addresses) = (Unique::new("name"), Unique::new("address"));
    let (mut voice_numbers, mut endpoints) = (Unique::new("number"), Unique::new("endpoint"));
    let (mut networks, mut countries) = (Unique::new("network"), Unique::new("country"));
    let (mut continents, mut machines) = (Unique::new("continent"), Unique::new("address"));
    for (index, region) in deployment.regions.iter().enumerate() {
        let (at, owner) = (|key: String| format!("regions.{index}.{key}"), region.name.as_str());
        names.add(&region.name, owner, at("name".into()));
        centers.add(&region.data_center, owner, at("data_center".into()));
        let mut node_names = Unique::new("name");
        for (index, node) in region.nodes.iter().enumerate() {
            node_names.add(&node.name, &node.name, at(format!("nodes.{index}.name")));
            numbers.add(node.number, &node.name, at(format!("nodes.{index}.number")));
            links.add(node.link.to_string(), &node.name, at(format!("nodes.{index}.link")));
        }
        node_names.tell(mistakes);
        for (index, number) in region.retired_numbers.iter().enumerate() {
            numbers.add(*number, owner, at(format!("retired_numbers.{index}")));
        }
        let mut voice_names = Unique::new("name");
        for (index, node) in region.voice_nodes.iter().enumerate() {
            voice_names.add(&node.name, &node.name, at(format!("voice_nodes.{index}.name")));
            voice_numbers.add(node.number, &node.name, at(format!("voice_nodes.{index}.number")));
            endpoints.add(node.endpoint.to_string(), &node.name, at(format!("voice_nodes.{index}.endpoint")));
        }
        voice_names.tell(mistakes);
        for (index, pop) in region.pops.iter().enumerate() {
            pop_names.add(&pop.name, owner, at(format!("pops.{index}.name")));
            for (number, address) in pop.addresses.iter().enumerate() {
                pop_addresses.add(*address, &pop.name, at(format!("pops.{index}.addresses.{number}")));
            }
        }
        if let Some(own) = &region.machines {
            let kinds = [("database_addresses", &own.database_addresses), ("bus_addresses", &own.bus_addresses)];
            for (kind, addresses) in kinds {
                for (index, address) in addresses.iter().enumerate() {
                    machines.add(*address, owner, at(format!("machines.{kind}.{index}")));
                }
            }
            let overlaps = |other: &&Region| {
                other.machines.as_ref().is_some_and(|other| {
                    other.network.contains(&own.network.network()) || own.network.contains(&other.network.network())
                })
            };
            if let Some(other) = deployment.regions.iter().take(index).find(overlaps) {
                let problem = format!("{} overlaps that of {}", own.network, other.name);
                mistakes.push(&at("machines.network".into()), problem, "a network of its own");
            }
        }
        for (index, network) in region.placement.networks.iter().enumerate() {
            networks.add(network.trunc(), owner, at(format!("placement.networks.{index}")));
        }
        for (index, country) in region.placement.countries.iter().enumerate() {
            countries.add(country.code(), owner, at(format!("placement.countries.{index}")));
        }
        for (index, continent) in region.placement.continents.iter().enumerate() {
            continents.add(continent.code(), owner, at(format!("placement.continents.{index}")));
        }
    }
    names.tell(mistakes);
    centers.tell(mistakes);
    numbers.tell(mistakes);
    links.tell(mistakes);
    voice_numbers.tell(mistakes);
    endpoints.tell(mistakes);
    pop_names.tell(mistakes);
    pop_addresses.tell(mistakes);
    networks.tell(mistakes);
    countries.tell(mistakes);
    continents.tell(mistakes);
    machines.tell(mistakes);
}

fn check_geodns(deployment: &Deployment, geodns: &GeoDns, mistakes: &mut Mistakes) {
    let servers = &geodns.name_servers;
    mistakes.require(!servers.is_empty(), "geodns.name_servers", "is empty", "at least one name server");
    let mut names = Unique::new("name");
    for (index, server) in servers.iter().enumerate() {
        let path = format!("geodns.name_servers.{index}");
        mistakes.require(is_name(&server.name), &format!("{path}.name"), "is no name", NAME);
        check_addresses(&server.addresses, &format!("{path}.addresses"), mistakes);
        names.add(&server.name, &server.name, format!("{path}.name"));
        let is_known = server.region.as_ref().is_none_or(|name| deployment.region(name).is_some());
        let problem = format!("there is no region {:?}", server.region.as_deref().unwrap_or_default());
        mistakes.require(is_known, &format!("{path}.region"), problem, "a region's name");
    }
    names.tell(mistakes);
    let health = &geodns.health;
    let is_path = health.path.starts_with('/') && health.path.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    mistakes.require(is_path && !health.path.contains('"'), "geodns.health.path", "is no path", "/readyz");
    mistakes.require(health.port != 0, "geodns.health.port", "is no port", "1 to 65535");
    let intervals = HEALTH_INTERVAL_MIN_SECONDS..=HEALTH_INTERVAL_MAX_SECONDS;
    mistakes.require(
        intervals.contains(&health.interval_seconds),
        "geodns.health.interval_seconds",
        "is out of range",
        "2 to 300",
    );
    let is_in_time = (1..health.interval_seconds.max(2)).contains(&health.timeout_seconds);
    mistakes.require(is_in_time, "geodns.health.timeout_seconds", "is out of range", "1 and more, below the interval");
    let is_ttl = (TTL_MIN_SECONDS..=TTL_MAX_SECONDS).contains(&geodns.ttl_seconds);
    mistakes.require(is_ttl, "geodns.ttl_seconds", "is out of range", "5 to 3600");
    let has_pops = deployment.pops().next().is_some();
    mistakes.require(has_pops, "geodns", "has nowhere to send clients", "at least one point of presence");
    check_placements(deployment, geodns, mistakes);
}

fn check_placements(deployment: &Deployment, geodns: &GeoDns, mistakes: &mut Mistakes) {
    if let Some(database) = &geodns.database {
        let is_plain =
            database.is_absolute() && database.to_str().is_some_and(|path| !path.contains(['"', '\n', '\\']));
        mistakes.require(is_plain, "geodns.database", "is no plain absolute path", "/var/lib/GeoIP/….mmdb");
    }
    for (index, region) in deployment.regions.iter().enumerate() {
        let placement = &region.placement;
        let asks = !placement.countries.is_empty() || !placement.continents.is_empty();
        let path = format!("regions.{index}.placement");
        let problem = "names countries or continents, which only a GeoIP database knows";
        mistakes.require(!asks || geodns.database.is_some(), &path, problem, "geodns.database to be set");
        let path = format!("regions.{index}.coordinates");
        let is_placed = deployment.regions.len() < 3 || region.coordinates.is_some();
        mistakes.require(is_placed, &path, "is missing: which region is the next nearest?", "latitude and longitude");
    }
}

/// The parts of a URL that matter here.
pub(crate) struct Authority {
    scheme: String,
    /// Without brackets.
    pub(crate) host: String,
    has_port: bool,
    /// Whether neither path nor query follow.
    ends_at_authority: bool,
}

/// Reads a URL of one of these schemes, without a user.
pub(crate) fn url_authority(url: &str, schemes: &[&str]) -> Option<Authority> {
    let parsed: http::Uri = url.parse().ok()?;
    let scheme = parsed.scheme_str().filter(|scheme| schemes.contains(scheme))?;
    let authority = parsed.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_host = is_host_name(host) || host.parse::<IpAddr>().is_ok();
    // The library reads `host:` and `host:99999` as a host without a port.
    let names_port = authority.as_str().len() > authority.host().len();
    let port = authority.port_u16().filter(|port| *port != 0);
    (is_host && names_port == port.is_some()).then(|| Authority {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        has_port: port.is_some(),
        ends_at_authority: url.len() == scheme.len() + "://".len() + authority.as_str().len(),
    })
}

/// Whether a host is an address that traffic does not reach over the internet.
fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => false,
    }
}

impl Deployment {
    /// What stands before the domain in a host's name: `eu-1` of `eu-1.chat.example.org`; none for other hosts.
    pub(crate) fn label_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        host.strip_suffix(&self.domain)?.strip_suffix('.').filter(|label| !label.is_empty())
    }
}
