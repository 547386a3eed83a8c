//! Loopback addresses for a cluster, shared with nobody.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::topology::{Node, STORAGE_PORT};

/// The last number of the address whose socket says that somebody is setting up a cluster in the subnet.
const RESERVATION_HOST: u8 = 254;
/// How many nodes a subnet has addresses for.
pub(crate) const NODES_MAX: u32 = RESERVATION_HOST as u32 - 1;

/// The first three numbers of loopback addresses, as in `127.0.2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet([u8; 3]);

/// Keeps others from choosing the subnet as long as it lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    _socket: TcpListener,
}

impl Subnet {
    /// Where a cluster is brought up unless somebody says otherwise.
    pub const DEFAULT: Self = Self([127, 0, 0]);

    /// Reserves a subnet in which nobody listens where `nodes` would.
    pub(crate) fn find_free(nodes: impl Fn(Self) -> Result<Vec<Node>>) -> Result<(Self, Reservation)> {
        // Low ones are left to people, who name theirs.
        for third in 16..=254 {
            let subnet = Self([127, 0, third]);
            let Some(reservation) = subnet.reserve()? else { continue };
            let sockets: Vec<SocketAddrV4> = nodes(subnet)?.iter().flat_map(Node::sockets).collect();
            if first_taken(&sockets)?.is_none() {
                return Ok((subnet, reservation));
            }
        }
        bail!("on every subnet of 127.0.16 to 127.0.254 somebody listens where a node would")
    }

    fn reserve(self) -> Result<Option<Reservation>> {
        let address = SocketAddrV4::new(self.host(RESERVATION_HOST), STORAGE_PORT);
        Ok(bind(address)?.map(|socket| Reservation { _socket: socket }))
    }

    pub(crate) fn host(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, last)
    }
}

/// The first of these addresses on which somebody listens.
pub(crate) fn first_taken(sockets: &[SocketAddrV4]) -> Result<Option<SocketAddrV4>> {
    for socket in sockets {
        if bind(*socket)?.is_none() {
            return Ok(Some(*socket));
        }
    }
    Ok(None)
}

/// A listener, or `None` where there is one already.
fn bind(address: SocketAddrV4) -> Result<Option<TcpListener>> {
    match TcpListener::bind(address) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{address} cannot be listened on")),
    }
}

impl FromStr for Subnet {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[127, b, c]) => Ok(Self([127, b, c])),
            _ => bail!("\"{text}\" is not the first three numbers of a loopback address, as in 127.0.2"),
        }
    }
}

impl TryFrom<String> for Subnet {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a}.{b}.{c}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn only_loopback_is_taken() {
        assert_eq!("127.3.2".parse::<Subnet>().unwrap(), Subnet([127, 3, 2]));
        for text in ["", "127", "127.0", "127.0.0.1", "10.0.0", "127.0.256", "127.0.-1", "127.0.x", "127..0"] {
            let error = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("127.0.2"), "{error}");
        }
    }

    #[test]
    fn a_reserved_subnet_and_one_with_a_listener_are_passed_over() {
        let nodes = |subnet| Ok(Topology::new(1, 2, subnet)?.nodes());
        let (first, reservation) = Subnet::find_free(nodes).unwrap();
        let (second, other) = Subnet::find_free(nodes).unwrap();
        assert_ne!(first, second);
        drop(other);
        let listener = TcpListener::bind(nodes(second).unwrap()[1].sockets()[2]).unwrap();
        let (third, _) = Subnet::find_free(nodes).unwrap();
        assert!(third != first && third != second);
        drop((reservation, listener));
    }

    #[test]
    fn the_taken_address_is_named() {
        let listener = TcpListener::bind("127.0.9.1:0").unwrap();
        let std::net::SocketAddr::V4(taken) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        assert_eq!(first_taken(&[taken]).unwrap(), Some(taken));
        drop(listener);
        assert_eq!(first_taken(&[taken]).unwrap(), None);
    }
}
