//! The main file: checks, regions, and who is sent where.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{head, list};
use crate::{Continent, Deployment, GeoDns, Region};

pub(super) fn text(deployment: &Deployment, geodns: &GeoDns) -> String {
    let mut text = head(deployment, '#');
    options(&mut text);
    service_types(&mut text, geodns);
    text.push_str("plugins => {\n");
    multifo(&mut text, deployment);
    geoip(&mut text, deployment, geodns);
    text.push_str("}\n");
    text
}

/// Only what a name server on the internet needs said; the address to listen on is the machine's, and may be added.
fn options(text: &mut String) {
    text.push_str("options => {\n  edns_client_subnet => true\n  $include{options.d}\n}\n");
}

fn service_types(text: &mut String, geodns: &GeoDns) {
    let health = &geodns.health;
    let _ = write!(
        text,
        "service_types => {{
  pop => {{
    plugin => http_status
    port => {port}
    url_path => \"{path}\"
    ok_codes => [ 200 ]
    interval => {interval}
    timeout => {timeout}
    # Two bad answers in a row take it out, two good ones bring it back.
    up_thresh => 2
    ok_thresh => 2
    down_thresh => 2
  }}
}}
",
        port = health.port,
        path = health.path,
        interval = health.interval_seconds,
        timeout = health.timeout_seconds,
    );
}

/// One resource a region: all of its healthy points of presence.
fn multifo(text: &mut String, deployment: &Deployment) {
    text.push_str("  multifo => {\n    service_types => pop\n");
    text.push_str("    # A region stands as long as one of its points of presence does.\n    up_thresh => 0.01\n");
    for region in deployment.regions().iter().filter(|region| !region.pops.is_empty()) {
        let _ = writeln!(text, "    {} => {{", region.name);
        addresses(text, region, "addrs_v4", IpAddr::is_ipv4);
        addresses(text, region, "addrs_v6", IpAddr::is_ipv6);
        text.push_str("    }\n");
    }
    text.push_str("  }\n");
}

fn addresses(text: &mut String, region: &Region, key: &str, is_family: fn(&IpAddr) -> bool) {
    let mut lines = String::new();
    for pop in &region.pops {
        for (index, address) in pop.addresses.iter().filter(|address| is_family(address)).enumerate() {
            let _ = writeln!(lines, "        {}-{} => {address}", pop.name, index + 1);
        }
    }
    if !lines.is_empty() {
        let _ = write!(text, "      {key} => {{\n{lines}      }}\n");
    }
}

fn geoip(text: &mut String, deployment: &Deployment, geodns: &GeoDns) {
    let everyone = list(deployment, deployment.default_home());
    let _ = write!(text, "  geoip => {{\n    maps => {{\n      clients => {{\n        datacenters => {everyone}\n");
    text.push_str("        nets => nets\n");
    if let Some(database) = &geodns.database {
        let _ = writeln!(text, "        geoip2_db => \"{}\"", database.display());
        places(text, deployment, &everyone);
    }
    text.push_str("      }\n    }\n    resources => {\n      pops => {\n        map => clients\n        dcmap => {\n");
    for region in deployment.regions().iter().filter(|region| !region.pops.is_empty()) {
        let _ = writeln!(text, "          {name} => %multifo!{name}", name = region.name);
    }
    text.push_str("        }\n      }\n    }\n  }\n");
}

/// Continents and their countries, each with its order.
fn places(text: &mut String, deployment: &Deployment, everyone: &str) {
    let mut continents: BTreeMap<Continent, (Option<String>, BTreeMap<&str, String>)> = BTreeMap::new();
    for region in deployment.regions() {
        let order = list(deployment, region);
        for continent in &region.placement.continents {
            continents.entry(*continent).or_default().0 = Some(order.clone());
        }
        for country in &region.placement.countries {
            continents.entry(country.continent()).or_default().1.insert(country.code(), order.clone());
        }
    }
    let _ = writeln!(text, "        map => {{\n          default => {everyone}");
    for (continent, (own, countries)) in continents {
        let own = own.as_deref().unwrap_or(everyone);
        let _ = writeln!(text, "          {} => {{\n            default => {own}", continent.code());
        for (country, order) in countries {
            let _ = writeln!(text, "            {country} => {order}");
        }
        text.push_str("          }\n");
    }
    text.push_str("        }\n");
}
