//! The domain's zone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{STATIC_TTL_SECONDS, head};
use crate::check::url_authority;
use crate::{Deployment, GeoDns};

pub(super) fn text(deployment: &Deployment, geodns: &GeoDns) -> String {
    let mut text = head(deployment, ';');
    let first = geodns.name_servers.first().map_or("@", |server| server.name.as_str());
    // gdnsd hands its zones to no other server, so nothing reads the serial.
    let _ = write!(text, "$TTL {STATIC_TTL_SECONDS}\n@ 60 SOA {first} hostmaster 1 7200 1800 1209600 60\n");
    for server in &geodns.name_servers {
        let _ = writeln!(text, "@ NS {}", server.name);
    }
    for server in &geodns.name_servers {
        records(&mut text, &server.name, &server.addresses);
    }
    let ttl = geodns.ttl_seconds;
    let _ = writeln!(text, "; The nearest healthy points of presence.\n@ {ttl} DYNA geoip!pops");
    for region in deployment.regions().iter().filter(|region| !region.pops.is_empty()) {
        let _ = writeln!(text, "{name}.pops {ttl} DYNA multifo!{name}", name = region.name);
    }
    text.push_str("; Each of them, whether healthy or not.\n");
    for (_, pop) in deployment.pops() {
        records(&mut text, &format!("{}.pop", pop.name), &pop.addresses);
    }
    text.push_str("; Nodes and voice nodes.\n");
    for (label, addresses) in node_names(deployment) {
        records(&mut text, &label, &addresses);
    }
    text
}

/// What names under the domain stand in links, gateways and endpoints, with the addresses of all nodes that have them.
fn node_names(deployment: &Deployment) -> BTreeMap<String, Vec<IpAddr>> {
    let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut add = |host: &str, own: &[IpAddr]| {
        let Some(label) = deployment.label_of(host) else { return };
        let addresses = names.entry(label.to_owned()).or_default();
        addresses.extend(own);
        addresses.sort();
        addresses.dedup();
    };
    for (_, node) in deployment.nodes() {
        let urls = [Some(node.gateway.as_str()), node.webtransport.as_deref()];
        let of_urls = urls.into_iter().flatten().filter_map(|url| url_authority(url, &["ws", "wss", "https"]));
        of_urls.for_each(|url| add(&url.host, &node.addresses));
        add(node.link.host(), &node.addresses);
    }
    for (_, node) in deployment.voice_nodes() {
        add(node.endpoint.host(), &node.addresses);
    }
    names
}

fn records(text: &mut String, name: &str, addresses: &[IpAddr]) {
    for address in addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let _ = writeln!(text, "{name} {kind} {address}");
    }
}
