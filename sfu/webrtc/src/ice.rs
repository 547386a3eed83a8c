//! Where peers are, and how they prove it: the lite half of ICE (RFC 8445).

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The characters of fragments and passwords, 64 of them.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const UFRAG_CHARS: usize = 8;
/// 144 bits.
const PASSWORD_CHARS: usize = 24;
/// Addresses of one peer: one for each network that it has, and some that its NAT gave up.
const ADDRESSES_MAX: usize = 8;

/// By which STUN is told whose it is.
pub(crate) type Ufrag = [u8; UFRAG_CHARS];

/// The randomness of the system failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random numbers")]
pub struct RandomnessError;

/// What the server's side of a peer is called by, and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub(crate) ufrag: Ufrag,
    password: [u8; PASSWORD_CHARS],
}

impl IceCredentials {
    /// New ones, that nobody can guess.
    pub(crate) fn generate() -> Result<Self, RandomnessError> {
        let mut chars = [0; UFRAG_CHARS + PASSWORD_CHARS];
        SystemRandom::new().fill(&mut chars).map_err(|_| RandomnessError)?;
        let chars = chars.map(|byte| ICE_CHARS[usize::from(byte % 64)]);
        let (mut ufrag, mut password) = ([0; UFRAG_CHARS], [0; PASSWORD_CHARS]);
        ufrag.copy_from_slice(&chars[..UFRAG_CHARS]);
        password.copy_from_slice(&chars[UFRAG_CHARS..]);
        Ok(Self { ufrag, password })
    }
    /// For `a=ice-ufrag:`.
    pub fn ufrag(&self) -> &str {
        ascii(&self.ufrag)
    }
    /// For `a=ice-pwd:`.
    pub fn password(&self) -> &str {
        ascii(&self.password)
    }
    pub(crate) fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.password)
    }
}

fn ascii(chars: &[u8]) -> &str {
    std::str::from_utf8(chars).expect("all characters are of ICE_CHARS, which is ASCII")
}

/// Without the password.
impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag()).finish_non_exhaustive()
    }
}

/// Where a peer proved to be.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    known: Vec<Path>,
    selected: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    address: SocketAddr,
    checked_at_ms: u64,
}

impl Paths {
    /// Notes a check that came from an address. Gives the address that is forgotten for it.
    ///
    /// Things are sent where the peer nominated last; before it does, where its first check came from.
    pub(crate) fn checked(&mut self, now_ms: u64, address: SocketAddr, nominated: bool) -> Option<SocketAddr> {
        let mut forgotten = None;
        match self.known.iter_mut().find(|path| path.address == address) {
            Some(path) => path.checked_at_ms = now_ms,
            None => {
                if self.known.len() >= ADDRESSES_MAX {
                    forgotten = self.forget_oldest();
                }
                self.known.push(Path { address, checked_at_ms: now_ms });
            }
        }
        if nominated || self.selected.is_none() {
            self.selected = Some(address);
        }
        forgotten
    }

    fn forget_oldest(&mut self) -> Option<SocketAddr> {
        let others = self.known.iter().enumerate().filter(|(_, path)| Some(path.address) != self.selected);
        let (oldest, _) = others.min_by_key(|(_, path)| path.checked_at_ms)?;
        Some(self.known.swap_remove(oldest).address)
    }

    /// Takes an address away, because it is another's now.
    pub(crate) fn forget(&mut self, address: SocketAddr) {
        self.known.retain(|path| path.address != address);
        if self.selected == Some(address) {
            self.selected = self.known.iter().max_by_key(|path| path.checked_at_ms).map(|path| path.address);
        }
    }
    /// When a check last came from an address.
    pub(crate) fn checked_at_ms(&self, address: SocketAddr) -> Option<u64> {
        self.known.iter().find(|path| path.address == address).map(|path| path.checked_at_ms)
    }
    pub(crate) const fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }
    /// Forgets all of them, and gives them.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = SocketAddr> + use<> {
        self.selected = None;
        std::mem::take(&mut self.known).into_iter().map(|path| path.address)
    }
}

/// A dual-stack socket shows clients of IPv4 under mapped addresses; they themselves do not.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), n)
    }

    #[test]
    fn the_first_then_what_is_nominated() {
        let mut paths = Paths::default();
        assert_eq!(paths.checked(0, address(1), false), None);
        assert_eq!(paths.checked(1, address(2), false), None);
        assert_eq!(paths.selected(), Some(address(1)));
        paths.checked(2, address(2), true);
        assert_eq!(paths.selected(), Some(address(2)));
        paths.checked(3, address(1), false);
        assert_eq!(paths.selected(), Some(address(2)));
        paths.forget(address(2));
        assert_eq!(paths.selected(), Some(address(1)));
        assert_eq!(paths.clear().collect::<Vec<_>>(), [address(1)]);
        assert_eq!(paths.selected(), None);
    }

    #[test]
    fn addresses_are_bounded_and_the_selected_one_stays() {
        let mut paths = Paths::default();
        let forgotten: Vec<_> = (0..12).filter_map(|n| paths.checked(n.into(), address(n), n == 0)).collect();
        assert_eq!(forgotten, [1, 2, 3, 4].map(address));
        assert_eq!(paths.selected(), Some(address(0)));
    }

    #[test]
    fn credentials_differ_and_are_not_shown() {
        let (one, other) = (IceCredentials::generate().unwrap(), IceCredentials::generate().unwrap());
        assert_ne!((one.ufrag(), one.password()), (other.ufrag(), other.password()));
        assert!(!format!("{one:?}").contains(one.password()));
        assert_eq!((one.ufrag().len(), one.password().len()), (8, 24));
    }
}
