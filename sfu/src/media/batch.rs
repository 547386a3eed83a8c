//! Many datagrams in one call of the kernel.
//!
//! Buffers and headers are made once; nothing is allocated for a datagram.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrLike as _, SockaddrStorage, recvmmsg, sendmmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams of one call.
pub(super) const RECEIVED_MAX: usize = 32;
const SENT_MAX: usize = 64;
/// Above what any path takes, so that nothing is cut.
const DATAGRAM_BYTES: usize = 2_048;
/// How long the kernel may have no room for what is to be sent, before it is dropped.
const FULL_MS: u8 = 5;

/// Datagrams that came.
pub(super) struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; DATAGRAM_BYTES]; RECEIVED_MAX]>,
    arrived: [(usize, SocketAddr); RECEIVED_MAX],
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(RECEIVED_MAX, None),
            buffers: Box::new([[0; DATAGRAM_BYTES]; RECEIVED_MAX]),
            arrived: [(0, SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)); RECEIVED_MAX],
        }
    }

    /// Takes what the kernel has; how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let Self { headers, buffers, arrived } = self;
        socket.try_io(Interest::READABLE, || {
            let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
            let results = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
            let mut count = 0;
            for (result, arrived) in results.zip(arrived.iter_mut()) {
                // An address of a family that a UDP socket does not have is nobody's.
                let from = result.address.and_then(|address| to_std(&address));
                *arrived = from.map_or((0, arrived.1), |from| (result.bytes, from));
                count += 1;
            }
            Ok(count)
        })
    }

    /// One of those that came last, to be worked on where it lies.
    pub(super) fn datagram(&mut self, at: usize) -> (SocketAddr, &mut [u8]) {
        let (bytes, from) = self.arrived[at];
        (from, &mut self.buffers[at][..bytes.min(DATAGRAM_BYTES)])
    }
}

/// Datagrams that are to go.
pub(super) struct Outbox {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; DATAGRAM_BYTES]; SENT_MAX]>,
    lengths: [usize; SENT_MAX],
    addresses: [Option<SockaddrStorage>; SENT_MAX],
    used: usize,
    /// Whether the socket knows clients of IPv4 under mapped addresses.
    is_v6: bool,
    pub(super) counts: SendCounts,
}

/// What became of datagrams that were to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SendCounts {
    pub(super) sent: u64,
    /// The kernel had no room.
    pub(super) full: u64,
    /// The kernel did not want them.
    pub(super) failed: u64,
}

impl Outbox {
    pub(super) fn new(is_v6: bool) -> Self {
        Self {
            headers: MultiHeaders::preallocate(SENT_MAX, None),
            buffers: Box::new([[0; DATAGRAM_BYTES]; SENT_MAX]),
            lengths: [0; SENT_MAX],
            addresses: [None; SENT_MAX],
            used: 0,
            is_v6,
            counts: SendCounts::default(),
        }
    }

    /// Adds a datagram that is written where it will lie; none if `write` has nothing. Sends all if there are enough.
    pub(super) fn push(&mut self, socket: &UdpSocket, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let Some(length) = write(&mut self.buffers[self.used]) else { return };
        let to = match to {
            SocketAddr::V4(v4) if self.is_v6 => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            to => to,
        };
        self.lengths[self.used] = length;
        self.addresses[self.used] = Some(to.into());
        self.used += 1;
        if self.used == SENT_MAX {
            self.flush(socket);
        }
    }

    /// Sends what is there.
    pub(super) fn flush(&mut self, socket: &UdpSocket) {
        let used = std::mem::take(&mut self.used);
        let slices: [[IoSlice<'_>; 1]; SENT_MAX] =
            std::array::from_fn(|at| [IoSlice::new(&self.buffers[at][..self.lengths[at]])]);
        let mut done = 0;
        let mut waited = false;
        while done < used {
            let headers = &mut self.headers;
            let no_control: [ControlMessage<'_>; 0] = [];
            let sent = sendmmsg(
                socket.as_raw_fd(),
                headers,
                slices[done..used].iter(),
                &self.addresses[done..used],
                no_control,
                MsgFlags::MSG_DONTWAIT,
            );
            match sent.map(Iterator::count) {
                Ok(sent) if sent > 0 => {
                    done += sent;
                    self.counts.sent += sent as u64;
                    waited = false;
                }
                Err(Errno::EAGAIN) if !waited => {
                    // This thread has nothing better to do: without room nobody can be sent anything.
                    waited = true;
                    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut fds, PollTimeout::from(FULL_MS));
                }
                Err(Errno::EAGAIN) => {
                    self.counts.full += (used - done) as u64;
                    return;
                }
                Err(Errno::EINTR) => {}
                // It is the first one's fault.
                Ok(_) | Err(_) => {
                    self.counts.failed += 1;
                    done += 1;
                }
            }
        }
    }
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            let v4 = address.as_sockaddr_in()?;
            Some(SocketAddr::new(v4.ip().into(), v4.port()))
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            let v6 = address.as_sockaddr_in6()?;
            Some(SocketAddr::new(v6.ip().into(), v6.port()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_go_and_come_in_order() {
        for (ip, is_v6) in [(IpAddr::V4(Ipv4Addr::LOCALHOST), false), (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), true)]
        {
            let Ok(to) = UdpSocket::bind((ip, 0)).await else { continue };
            let from = UdpSocket::bind((ip, 0)).await.unwrap();
            let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(is_v6));
            let address = to.local_addr().unwrap();
            for n in 0..150_u8 {
                outbox.push(&from, address, |buffer| {
                    buffer[..2].copy_from_slice(&[n, !n]);
                    Some(2)
                });
            }
            outbox.push(&from, address, |_| None);
            outbox.flush(&from);
            assert_eq!(outbox.counts, SendCounts { sent: 150, full: 0, failed: 0 });
            let mut expected = 0..150_u8;
            while !expected.is_empty() {
                to.readable().await.unwrap();
                let Ok(count) = inbox.receive(&to) else { continue };
                for at in 0..count {
                    let (seen, datagram) = inbox.datagram(at);
                    assert_eq!(seen, from.local_addr().unwrap());
                    assert_eq!(Some(datagram[0]), expected.next());
                }
            }
        }
    }

    #[tokio::test]
    async fn what_the_kernel_refuses_does_not_hold_up_the_rest() {
        let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut outbox = Outbox::new(false);
        let nowhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        for address in [nowhere, to.local_addr().unwrap(), nowhere] {
            outbox.push(&from, address, |_| Some(1));
        }
        outbox.flush(&from);
        assert_eq!(outbox.counts, SendCounts { sent: 1, full: 0, failed: 2 });
        to.recv(&mut [0]).await.unwrap();
    }
}
