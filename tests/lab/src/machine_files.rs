//! A machine's files as the lab runs them: what Terraform rendered, with what differs on one machine.
//!
//! What differs, and why:
//!
//! - paths are under the machine's folder, because all machines share one file system;
//! - wildcard addresses are the machine's own, because a region's machines share one network;
//! - the gateway and the points of presence speak plain `ws://` and `http://` at the machine's address, where in a
//!   deployment haproxy and the point of presence end TLS: nothing leaves this computer;
//! - rate limits are off unless they are asked for: a hundred test clients have one address;
//! - relays have no TLS, and voice nodes one core each;
//! - logs are text.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use toml::{Table, Value};

use crate::plan::{Machine, Mode, Role, port};
use crate::rendered::{inside, rooted};

const REGION: &str = "/etc/rookery/region.toml";
const SFU: &str = "/etc/rookery/sfu.toml";
const RELAY: &str = "/etc/rookery/turnserver.conf";
const POP: &str = "/etc/rookery/pop.toml";
const NATS: &str = "/etc/nats-server.conf";
const PROMETHEUS: &str = "/etc/prometheus/prometheus.yml";
const GDNSD: &str = "/etc/gdnsd";
/// What a relay and the voice node beside it have in common.
const TURN_SECRET: &str = "lab";
/// As high as limits go that cannot be switched off.
const NO_LIMIT: i64 = 1_000_000;

/// The file, or the folder, that a machine's program is started with.
pub fn main_file(role: Role) -> &'static str {
    match role {
        Role::Region => REGION,
        Role::Voice => SFU,
        Role::Relay => RELAY,
        Role::Pop => POP,
        Role::Bus => NATS,
        Role::Observability => PROMETHEUS,
        Role::GeoDns => GDNSD,
        Role::Database | Role::Wan => "",
    }
}

/// Adapts the rendered files under `root`.
pub fn adapt(machine: &Machine, root: &Path, mode: Mode, limits: bool, dns_port: u16) -> Result<()> {
    let path = inside(root, main_file(machine.role));
    let change = |adapt: &dyn Fn(&str) -> Result<String>| -> Result<()> {
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        fs::write(&path, adapt(&rooted(&text, root))?).with_context(|| format!("{} cannot be written", path.display()))
    };
    match machine.role {
        Role::Region => change(&|text| region(text, machine.address, mode, limits)),
        Role::Voice => {
            change(&|text| voice(text, machine.address))?;
            let path = inside(root, RELAY);
            let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            fs::write(&path, relay(&text)?).with_context(|| format!("{} cannot be written", path.display()))
        }
        Role::Pop => change(&|text| pop(text, machine.address, mode, limits)),
        Role::Bus => change(&|text| bus(text, machine.address)),
        Role::Observability => change(&|text| Ok(text.to_owned())),
        Role::GeoDns => geodns(machine.address, &path, dns_port),
        Role::Database | Role::Relay | Role::Wan => Ok(()),
    }
}

fn region(text: &str, address: Ipv4Addr, mode: Mode, limits: bool) -> Result<String> {
    let mut config: Table = text.parse().context("region.toml")?;
    set(&mut config, &["log", "format"], "text")?;
    set(&mut config, &["link", "listen"], format!("{address}:{}", port::LINK))?;
    set(&mut config, &["gateway", "listen"], format!("{address}:{}", port::GATEWAY))?;
    // Behind no haproxy, whose duty the limits by address were.
    match (limits, mode) {
        (true, _) => {}
        (false, Mode::Loopback) => set(&mut config, &["limits"], "off")?,
        (false, Mode::Namespaces) => {
            set(&mut config, &["rest", "enabled"], false)?;
            set(&mut config, &["degradation", "enabled"], false)?;
            for key in ["identify_per_day", "identify_concurrency", "sessions_per_user"] {
                set(&mut config, &["gateway", key], NO_LIMIT)?;
            }
            set(&mut config, &["gateway", "session", "rate_events"], NO_LIMIT)?;
        }
    }
    Ok(config.to_string())
}

fn voice(text: &str, address: Ipv4Addr) -> Result<String> {
    let mut config: Table = text.parse().context("sfu.toml")?;
    set(&mut config, &["log", "format"], "text")?;
    set(&mut config, &["voice", "gateway"], format!("{address}:{}", port::VOICE))?;
    let media =
        config["voice"]["media"].as_str().and_then(|media| media.rsplit_once(':')).context("media")?.1.to_owned();
    set(&mut config, &["voice", "media"], format!("{address}:{media}"))?;
    // All regions share this machine's processors.
    set(&mut config, &["voice", "cores"], 1)?;
    set(&mut config, &["voice", "turn", "urls"], vec![format!("turn:{address}:{}?transport=udp", port::TURN)])?;
    set(&mut config, &["voice", "turn", "secret"], TURN_SECRET)?;
    Ok(config.to_string())
}

/// A relay without TLS, and with the secret that its service would put behind the file.
fn relay(text: &str) -> Result<String> {
    let is_of_tls = |line: &&str| ["cert=", "pkey=", "tls-listening-port="].iter().any(|key| line.starts_with(key));
    let kept: Vec<&str> = text.lines().filter(|line| !is_of_tls(line)).collect();
    ensure!(kept.len() + 3 == text.lines().count(), "turnserver.conf says other things of TLS");
    Ok(format!("{}\nno-tls\nno-dtls\nstatic-auth-secret={TURN_SECRET}\n", kept.join("\n")))
}

fn pop(text: &str, address: Ipv4Addr, mode: Mode, limits: bool) -> Result<String> {
    let mut config: Table = text.parse().context("pop.toml")?;
    set(&mut config, &["log", "format"], "text")?;
    set(&mut config, &["operator"], format!("{address}:{}", port::POP_OPERATOR))?;
    set(&mut config, &["pop", "http"], format!("{address}:{}", port::POP_HTTP))?;
    let table = config.get_mut("pop").and_then(Value::as_table_mut).context("pop.toml has no [pop]")?;
    table.remove("https");
    table.remove("tls");
    match (limits, mode) {
        (true, _) => {}
        (false, Mode::Loopback) => set(&mut config, &["limits"], "off")?,
        (false, Mode::Namespaces) => {
            set(&mut config, &["pop", "client", "invalid_requests"], 0)?;
            set(&mut config, &["pop", "connections", "max_open_per_client"], 10_000)?;
        }
    }
    Ok(config.to_string())
}

fn bus(text: &str, address: Ipv4Addr) -> Result<String> {
    let everywhere = format!("\"0.0.0.0:{}\"", port::NATS_GATEWAY);
    ensure!(text.contains(&everywhere), "nats-server.conf does not listen on {everywhere}");
    Ok(text.replace(&everywhere, &format!("\"{address}:{}\"", port::NATS_GATEWAY)))
}

/// gdnsd's configuration is generated into the folder by `rookery deployment geodns`; this is the machine's own part.
fn geodns(address: Ipv4Addr, folder: &Path, dns_port: u16) -> Result<()> {
    let options = folder.join("options.d/listen");
    if dns_port != port::DNS {
        fs::write(&options, format!("listen => {address}:{dns_port}\n"))?;
    }
    let (run, state) = (folder.join("run"), folder.join("state"));
    let local = format!("run_dir => \"{}\"\nstate_dir => \"{}\"\n", run.display(), state.display());
    fs::write(folder.join("options.d/local"), local).context("options.d/local cannot be written")
}

fn set(config: &mut Table, path: &[&str], value: impl Into<Value>) -> Result<()> {
    let (last, parents) = path.split_last().context("a path has a key")?;
    let mut table = config;
    for key in parents {
        let entry = table.entry((*key).to_owned()).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().with_context(|| format!("{key} is no table"))?;
    }
    table.insert((*last).to_owned(), value.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 89, 1, 10);

    #[test]
    fn a_region_listens_at_its_own_address_and_keeps_what_it_was_told() {
        let rendered = "name = \"eu\"\noperator = \"10.89.1.10:8091\"\n[log]\nformat = \"json\"\n[link]\nlisten = \"[::]:8082\"\n\
                        ca_file = \"/x/ca.pem\"\n[gateway]\nlisten = \"127.0.0.1:8081\"\nmax_connections = 7\n";
        let config: Table = region(rendered, ADDRESS, Mode::Namespaces, false).unwrap().parse().unwrap();
        assert_eq!(config["link"]["listen"].as_str(), Some("10.89.1.10:8082"));
        assert_eq!(config["link"]["ca_file"].as_str(), Some("/x/ca.pem"));
        assert_eq!(config["gateway"]["listen"].as_str(), Some("10.89.1.10:8081"));
        assert_eq!(config["gateway"]["max_connections"].as_integer(), Some(7));
        assert_eq!(config["rest"]["enabled"].as_bool(), Some(false));
        assert_eq!(config["operator"].as_str(), Some("10.89.1.10:8091"));
        let config: Table = region(rendered, ADDRESS, Mode::Namespaces, true).unwrap().parse().unwrap();
        assert!(!config.contains_key("rest") && !config.contains_key("limits"));
        let config: Table = region(rendered, ADDRESS, Mode::Loopback, false).unwrap().parse().unwrap();
        assert_eq!(config["limits"].as_str(), Some("off"));
    }

    #[test]
    fn a_point_of_presence_speaks_plain_http() {
        let rendered = "operator = \"[::]:8090\"\n[uplink]\nregions = [\"a:1\"]\n[pop]\nhttp = \"127.0.0.1:8080\"\nhttps = \"[::]:443\"\n\
                        [pop.tls]\ncertificate_file = \"/x\"\n";
        let config: Table = pop(rendered, ADDRESS, Mode::Namespaces, false).unwrap().parse().unwrap();
        assert_eq!(config["operator"].as_str(), Some("10.89.1.10:8090"));
        let table = config["pop"].as_table().unwrap();
        assert_eq!(table["http"].as_str(), Some("10.89.1.10:8080"));
        assert!(!table.contains_key("https") && !table.contains_key("tls"));
        assert_eq!(config["uplink"]["regions"][0].as_str(), Some("a:1"));
        assert!(pop("operator = 1\n", ADDRESS, Mode::Namespaces, true).is_ok(), "a missing table is made");
    }

    #[test]
    fn a_voice_node_has_its_relay_at_its_own_address() {
        let rendered = "[voice]\ngateway = \"[::]:443\"\nmedia = \"0.0.0.0:50000\"\nnode = 2\n[voice.turn]\nurls = [\"turns:x\"]\n";
        let config: Table = voice(rendered, ADDRESS).unwrap().parse().unwrap();
        assert_eq!(config["voice"]["media"].as_str(), Some("10.89.1.10:50000"));
        assert_eq!(config["voice"]["turn"]["urls"][0].as_str(), Some("turn:10.89.1.10:3478?transport=udp"));
        assert_eq!(config["voice"]["node"].as_integer(), Some(2));
        let text = relay("use-auth-secret\ntls-listening-port=1\ncert=/x\npkey=/y\n").unwrap();
        assert_eq!(text, "use-auth-secret\nno-tls\nno-dtls\nstatic-auth-secret=lab\n");
        assert!(relay("use-auth-secret\n").is_err());
    }

    #[test]
    fn a_server_of_the_bus_that_listens_elsewhere_is_a_mistake() {
        assert!(bus("gateway { listen: \"0.0.0.0:7222\" }", ADDRESS).unwrap().contains("\"10.89.1.10:7222\""));
        assert!(bus("gateway { }", ADDRESS).is_err());
    }
}
