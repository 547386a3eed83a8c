//! What is looked at once the region is up.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::lab::{self, Lab};
use super::secrets::{Secrets, TURN_SECRET};
use super::{Trial, rendered};
use crate::shell::say;

/// All of it.
pub fn all(trial: &Trial, lab: &Lab) -> Result<()> {
    ready(trial, lab)?;
    units(trial, lab)?;
    people_chat(trial, lab)?;
    voice(trial, lab)?;
    only_who_may(trial, lab)?;
    bus(trial, lab)?;
    names(trial, lab)?;
    scrapes(trial, lab)?;
    drain(trial, lab)
}

/// Asks as Prometheus does, from its machine: the firewalls let in nobody else.
fn ready(trial: &Trial, lab: &Lab) -> Result<()> {
    let asking = lab.machine(trial.only("observability")?)?;
    let roles = [
        ("region", 8091, "rookery-region.service"),
        ("voice", 8092, "rookery-sfu.service"),
        ("pop", 8090, "rookery-pop.service"),
    ];
    for (role, port, unit) in roles {
        let name = trial.only(role)?;
        let url = format!("http://{}:{port}/readyz", trial.machines[name].private_ip);
        let script = format!("curl --fail --silent --max-time 2 {url}");
        let told = lab.machine(name)?.wait_at(asking, "it does not become ready", &script, unit)?;
        say!("{name}: {url} answers 200: {}", told.trim());
    }
    Ok(())
}

/// Has systemd read every unit that was rendered where it is used, and looks that none failed.
fn units(trial: &Trial, lab: &Lab) -> Result<()> {
    for (name, given) in &trial.machines {
        let machine = lab.machine(name)?;
        for unit in given.units() {
            let mut command = machine.command("systemd-analyze");
            let output = command.args(["verify", "--man=no", unit]).output()?;
            let told = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success() && told.trim().is_empty(), "{name}: systemd does not take {unit}:\n{told}");
        }
    }
    Ok(())
}

/// A client at the region's point of presence.
struct Client<'a> {
    lab: &'a Lab,
    authority: PathBuf,
    domain: String,
    address: String,
    token: Option<String>,
}

impl<'a> Client<'a> {
    fn new(trial: &Trial, lab: &'a Lab, address: String) -> Result<Self> {
        Ok(Self {
            lab,
            authority: Secrets::public_authority(&trial.scratch.join("secrets")),
            domain: trial.deployment["domain"].as_str().context("a domain")?.to_owned(),
            address,
            token: None,
        })
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut command = self.lab.client("curl");
        command.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "20", "--cacert"]);
        command.arg(&self.authority);
        command.args(["--resolve", &format!("{}:443:{}", self.domain, self.address), "--request", method]);
        if let Some(token) = &self.token {
            command.args(["--header", &format!("Authorization: {token}")]);
        }
        if let Some(body) = body {
            command.args(["--header", "Content-Type: application/json", "--data", &body.to_string()]);
        }
        let text = lab::succeed(command.arg(format!("https://{}/api/v10{path}", self.domain)))?;
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answers {text:?}"))
    }

    /// Whether a gateway takes a WebSocket at this URL, with this query.
    fn upgrades(&self, url: &str, address: &str, query: &str) -> Result<()> {
        let host = url.strip_prefix("wss://").with_context(|| format!("the gateway is {url}"))?.trim_end_matches('/');
        let mut command = self.lab.client("curl");
        command.args([
            "--silent",
            "--show-error",
            "--http1.1",
            "--include",
            "--no-buffer",
            "--max-time",
            "20",
            "--cacert",
        ]);
        command.arg(&self.authority).args(["--resolve", &format!("{host}:443:{address}")]);
        for header in [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ] {
            command.args(["--header", header]);
        }
        let mut child = command.arg(format!("https://{host}/?{query}")).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().context("it was asked for")?;
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        // It does not end by itself: HELLO comes, and then nothing.
        while !String::from_utf8_lossy(&text).contains("heartbeat_interval") {
            match stdout.read(&mut part)? {
                0 => break,
                length => text.extend_from_slice(&part[..length]),
            }
        }
        child.kill()?;
        child.wait()?;
        let text = String::from_utf8_lossy(&text);
        ensure!(
            text.starts_with("HTTP/1.1 101 ") && text.contains("heartbeat_interval"),
            "no HELLO from {url}: {text}"
        );
        Ok(())
    }
}

/// Registers somebody at the point of presence, has them post a message, and reads it back.
fn people_chat(trial: &Trial, lab: &Lab) -> Result<()> {
    let pop = &trial.machines[trial.only("pop")?];
    let mut client = Client::new(trial, lab, pop.ipv4.clone().context("a point of presence has an address")?)?;
    let text = |value: &Value, name: &str| {
        value[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {value}"))
    };
    let person = json!({ "email": "ada@example.org", "username": "ada", "password": "correct horse battery" });
    client.token = Some(text(&client.ask("POST", "/auth/register", Some(&person))?, "token")?);
    let guild = client.ask("POST", "/guilds", Some(&json!({ "name": "trial" })))?;
    let channels = client.ask("GET", &format!("/guilds/{}/channels", text(&guild, "id")?), None)?;
    let mut channels = channels.as_array().context("a list")?.iter();
    let channel = text(channels.find(|channel| channel["type"] == 0).context("a text channel")?, "id")?;
    let messages = format!("/channels/{channel}/messages");
    let said = client.ask("POST", &messages, Some(&json!({ "content": "out of cloud-init" })))?;
    let read = client.ask("GET", &messages, None)?;
    let found = read
        .as_array()
        .context("a list")?
        .iter()
        .any(|message| message["id"] == said["id"] && message["content"] == "out of cloud-init");
    ensure!(found, "what was posted is not there: {read}");
    let node = &trial.machines[trial.only("region")?];
    let gateway = text(&client.ask("GET", "/gateway", None)?, "url")?;
    let address = node.ipv4.as_deref().context("a node has an address")?;
    client.upgrades(&gateway, address, "v=10&encoding=json")?;
    say!("somebody registered and posted a message at {}, and {gateway} greets", client.address);
    Ok(())
}

/// The voice node greets, the region has found it, and the relay beside it lets in whom the node gives credentials.
fn voice(trial: &Trial, lab: &Lab) -> Result<()> {
    let name = trial.only("voice")?;
    let given = &trial.machines[name];
    let address = given.ipv4.clone().context("a voice node has an address")?;
    let client = Client::new(trial, lab, address.clone())?;
    client.upgrades(&format!("wss://{}.{}", given.node, client.domain), &address, "v=8")?;
    let node = lab.machine(trial.only("region")?)?;
    let found = "journalctl --unit rookery-region | grep -q 'a voice node is there'";
    node.wait_for("it finds no voice node", found, "rookery-region.service")?;
    let asks = |secret: &str| {
        let mut relay = lab.client("turnutils_uclient");
        // An allocation and a packet through it to the voice node, which drops it.
        relay.args(["-X", "-c", "-n", "1", "-W", secret, "-e", &address, "-r", "50000", &address]);
        relay.output()
    };
    let (good, bad) = (asks(TURN_SECRET)?, asks("another")?);
    let text = String::from_utf8_lossy(&good.stdout);
    ensure!(good.status.success(), "the relay lets nobody in:\n{text}");
    ensure!(!bad.status.success(), "the relay lets in whoever comes");
    say!("{name}: greets at {address}, is known to the region, and has a relay");
    Ok(())
}

/// The firewalls drop who has no business at a port, even in the same network.
fn only_who_may(trial: &Trial, lab: &Lab) -> Result<()> {
    let private = |role| Ok::<_, anyhow::Error>(trial.machines[trial.only(role)?].private_ip.clone());
    let refused =
        [("pop", "region", 8091), ("pop", "database", 7199), ("pop", "observability", 9090), ("region", "bus", 6222)];
    for (from, to, port) in refused {
        let (from, address) = (lab.machine(trial.only(from)?)?, private(to)?);
        let url = format!("telnet://{address}:{port}");
        let mut curl = from.command("curl");
        let asked = curl.args([
            "--silent",
            "--connect-timeout",
            "1",
            "--max-time",
            "3",
            "--write-out",
            "%{time_connect}",
            &url,
        ]);
        let asked = asked.output()?;
        // 28: out of time, as with a connection that then is silent; with that, the time of connecting is not 0.
        let connected = String::from_utf8_lossy(&asked.stdout).trim() != "0.000000";
        let dropped = asked.status.code() == Some(28) && !connected;
        ensure!(dropped, "the firewall of {address} lets {} in at {port}: {}", from.name, asked.status);
    }
    Ok(())
}

/// The bus's servers have found each other, and the node is at one of them.
fn bus(trial: &Trial, lab: &Lab) -> Result<()> {
    let asking = lab.machine(trial.only("observability")?)?;
    let mut connections = 0;
    for name in trial.of_role("bus") {
        let ask = |page: &str| {
            format!("curl --fail --silent --max-time 2 http://{}:8222/{page}", trial.machines[name].private_ip)
        };
        let linked = format!("{} | grep -q '\"num_routes\": [1-9]'", ask("routez"));
        lab.machine(name)?.wait_at(asking, "it does not find the other", &linked, "nats-server.service")?;
        let page: Value = serde_json::from_str(&asking.run("sh", &["-c", &ask("connz")])?)?;
        connections += page["num_connections"].as_u64().context("connections")?;
    }
    ensure!(connections > 0, "the node is at no server of the bus");
    Ok(())
}

/// The name server's answer is the point of presence, whose health it watches through the firewall.
fn names(trial: &Trial, lab: &Lab) -> Result<()> {
    let server = trial.only("geodns")?;
    let address = trial.machines[server].ipv4.as_deref().context("a name server has an address")?;
    let domain = trial.deployment["domain"].as_str().context("a domain")?;
    let pop = trial.machines[trial.only("pop")?].ipv4.as_deref().context("a point of presence has an address")?;
    let mut dig = lab.client("dig");
    dig.args(["+short", "+time=2", "+tries=5", &format!("@{address}"), domain, "A", "+subnet=203.0.113.7/32"]);
    let answer = lab::succeed(&mut dig)?;
    if answer.trim() != pop {
        bail!("{server} says that {domain} is at {answer:?}, not {pop}");
    }
    Ok(())
}

/// Prometheus reaches the node, the voice node and the point of presence.
fn scrapes(trial: &Trial, lab: &Lab) -> Result<()> {
    let machine = lab.machine(trial.only("observability")?)?;
    for job in ["region", "sfu", "pop"] {
        let script = format!(
            "curl --fail --silent --max-time 2 --get --data-urlencode 'query=up{{job=\"{job}\"}}' \
             http://127.0.0.1:9090/api/v1/query | grep -q '\"1\"'"
        );
        machine.wait_for(&format!("it does not scrape the {job}"), &script, "prometheus.service")?;
    }
    Ok(())
}

/// What runs ends in order when it is told to, within its time.
fn drain(trial: &Trial, lab: &Lab) -> Result<()> {
    let units =
        [("pop", "rookery-pop.service"), ("voice", "rookery-sfu.service"), ("region", "rookery-region.service")];
    for (role, unit) in units {
        let machine = lab.machine(trial.only(role)?)?;
        machine.run("systemctl", &["stop", unit])?;
        let ended = machine.run("systemctl", &["show", "--property=Result,NRestarts,ExecMainStatus", unit])?;
        let wanted = ["Result=success", "NRestarts=0", "ExecMainStatus=0"];
        ensure!(
            wanted.iter().all(|line| ended.lines().any(|other| other == *line)),
            "{unit} ended otherwise:\n{ended}"
        );
    }
    Ok(())
}

impl rendered::Machine {
    /// The paths of its units.
    fn units(&self) -> impl Iterator<Item = &str> {
        let paths = self.files.iter().map(|file| file.path.as_str());
        paths.filter(|path| path.strip_prefix("/etc/systemd/system/").is_some_and(|name| !name.contains('/')))
    }
}
