//! Where a process listens, as others reach it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::check::is_host_name;

/// A host and a port: `eu-1.example.org:8082`, `10.0.0.1:8082`, `[2001:db8::1]:8082`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Text that is no host with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not host:port, with a DNS name in lower case, an IPv4 address or an IPv6 address in brackets")]
pub struct EndpointError;

impl Endpoint {
    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, not zero.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError)?;
        // `u16::from_str` would take a sign.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| *port != 0 && digits).ok_or(EndpointError)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().map_err(|_| EndpointError)?.to_string(),
            None if is_host_name(host) || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) => host.to_owned(),
            None => return Err(EndpointError),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_read_and_written_alike() {
        for text in ["eu-1.example.org:8082", "10.0.0.1:1", "[2001:db8::1]:65535", "localhost:80"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let wrong = [
            "",
            ":",
            "host",
            "host:",
            ":80",
            "host:0",
            "host:65536",
            "host:+80",
            "host:8 0",
            "2001:db8::1:80",
            "[::1]",
            "[10.0.0.1]:80",
            "Host:80",
            "a b:80",
            "a/b:80",
            "user@host:80",
            "-a:80",
            "a..b:80",
            "256.0.0.1:80",
            "1.2:80",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}
