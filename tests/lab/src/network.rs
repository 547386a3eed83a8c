//! Network namespaces of regions, and what cuts them off.
//!
//! A region's namespace has two ways out: `lan0`, over which this machine reaches it at once (clients, tests and
//! Prometheus' readers stand there), and `wan0`, over which the other regions are a delay away ([`crate::wan`]).

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use crate::wan::{DEVICE, Network};

/// Where `ip netns` keeps namespaces.
const FOLDER: &str = "/run/netns";
/// The table of nftables that cuts a region off.
const TABLE: &str = "rookery_lab";

/// Why namespaces cannot be made here; none where they can.
pub fn obstacle() -> Option<String> {
    let name = format!("rklab-probe-{}", std::process::id());
    let tried = ip(&["netns", "add", &name]).and_then(|()| {
        let device = ip(&["-n", &name, "tuntap", "add", "dev", DEVICE, "mode", "tun"]);
        let rules = nft(&name, "add table inet probe\n");
        ip(&["netns", "del", &name])?;
        device?;
        rules
    });
    tried.err().map(|error| format!("{error:#}"))
}

/// Moves this thread, and no other, into a namespace.
pub fn enter(namespace: &str) -> Result<()> {
    let path = Path::new(FOLDER).join(namespace);
    let file = File::open(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("the network namespace {namespace} cannot be entered"))
}

/// Whether there is a namespace of this name.
pub fn exists(namespace: &str) -> bool {
    Path::new(FOLDER).join(namespace).exists()
}

/// Whether an address of this machine begins like this.
pub fn has_address_like(prefix: &str) -> Result<bool> {
    let output = Command::new("ip").args(["-o", "-4", "address"]).output().context("`ip` could not be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word.starts_with(prefix)))
}

/// Makes a region's namespace with its addresses, reached from this machine at `network`'s first address. Fails where
/// there is one of this name.
pub fn make(namespace: &str, link: &str, network: Network, addresses: &[Ipv4Addr]) -> Result<()> {
    ip(&["netns", "add", namespace])?;
    ip(&["link", "add", link, "type", "veth", "peer", "name", "lan0", "netns", namespace])?;
    ip(&["address", "add", &format!("{}/24", network.host(1)), "dev", link])?;
    ip(&["link", "set", link, "up"])?;
    for device in ["lo", "lan0"] {
        ip(&["-n", namespace, "link", "set", device, "up"])?;
    }
    for address in addresses {
        ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "lan0"])?;
    }
    Ok(())
}

/// Leads what goes to other regions over the wide-area device, once `rookery-wan` has made that.
pub fn connect_wan(namespace: &str, all_regions: &str, source: Ipv4Addr) -> Result<()> {
    ip(&["-n", namespace, "link", "set", DEVICE, "up"])?;
    ip(&["-n", namespace, "route", "replace", all_regions, "dev", DEVICE, "src", &source.to_string()])
}

/// Removes a namespace with its devices, if it is there; what runs in it goes on without a network.
pub fn remove(namespace: &str) -> Result<()> {
    if !exists(namespace) {
        return Ok(());
    }
    ip(&["netns", "del", namespace])
}

/// Removes this machine's end of a region's device, if the namespace left it behind.
pub fn remove_link(link: &str) -> Result<()> {
    if Path::new("/sys/class/net").join(link).exists() {
        // The kernel removes it by itself when its other end is gone, perhaps at this moment.
        let removed = ip(&["link", "del", link]);
        ensure!(removed.is_ok() || !Path::new("/sys/class/net").join(link).exists(), "{link} cannot be removed");
    }
    Ok(())
}

/// Drops everything between a namespace and these networks of other regions, without a word to either side.
pub fn cut(namespace: &str, others: &[Network]) -> Result<()> {
    let networks: Vec<String> = others.iter().map(ToString::to_string).collect();
    let networks = networks.join(", ");
    nft(
        namespace,
        &format!(
            "table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n\
             chain input {{ type filter hook input priority -10; iifname {DEVICE} ip saddr {{ {networks} }} drop; }}\n\
             chain output {{ type filter hook output priority -10; oifname {DEVICE} ip daddr {{ {networks} }} drop; }}\n}}\n"
        ),
    )
}

/// Undoes [`cut`].
pub fn mend(namespace: &str) -> Result<()> {
    nft(namespace, &format!("table inet {TABLE}\ndelete table inet {TABLE}\n"))
}

/// How long a TCP connection from a namespace (none: from here) takes to be made: one round trip.
pub fn connect_time(namespace: Option<&str>, to: SocketAddr, limit: Duration) -> Result<Duration> {
    let measure = || -> Result<Duration> {
        if let Some(namespace) = namespace {
            enter(namespace)?;
        }
        let start = Instant::now();
        TcpStream::connect_timeout(&to, limit)?;
        Ok(start.elapsed())
    };
    // Of its own, because a thread does not come back from where it went.
    thread::scope(|scope| scope.spawn(measure).join()).ok().context("the measuring thread panicked")?
}

/// What went over a region's wide-area device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WanBytes {
    /// To other regions.
    pub sent: u64,
    /// From other regions.
    pub received: u64,
}

/// What went over a namespace's wide-area device; none where it has none at the moment.
pub fn wan_bytes(namespace: &str) -> Result<Option<WanBytes>> {
    let read = || -> Result<String> {
        enter(namespace)?;
        // Of this thread's namespace, unlike /proc/net.
        Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?)
    };
    let text = thread::scope(|scope| scope.spawn(read).join()).ok().context("the reading thread panicked")??;
    Ok(counters(&text))
}

/// The counters of [`DEVICE`] in `/proc/net/dev`.
fn counters(text: &str) -> Option<WanBytes> {
    let (_, numbers) = text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == DEVICE))?;
    let mut numbers = numbers.split_whitespace().map(str::parse);
    let received = numbers.next()?.ok()?;
    Some(WanBytes { sent: numbers.nth(7)?.ok()?, received })
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).stdin(Stdio::null()).output().context("`ip` could not be started")?;
    succeeded(&format!("ip {}", args.join(" ")), &output)
}

fn nft(namespace: &str, rules: &str) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={FOLDER}/{namespace}")).args(["nft", "-f", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("`nsenter` could not be started")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(rules.as_bytes())?;
    }
    succeeded("nft", &child.wait_with_output()?)
}

fn succeeded(shown: &str, output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{shown}` failed: {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_device_are_read() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n\
                    \x20   lo:     100       1    0    0    0     0          0         0     200       1    0    0\n\
                    \x20 wan0: 1234567     890    0    0    0     0          0         0 7654321     567    0    0\n";
        assert_eq!(counters(text), Some(WanBytes { sent: 7_654_321, received: 1_234_567 }));
        assert_eq!(counters(""), None);
    }
}
