//! Many datagrams in one call of the kernel.
//!
//! Buffers and headers are made once; nothing is allocated for a datagram.

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::UdpGsoSegment;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrLike as _, SockaddrStorage, getsockopt, recvmmsg, sendmmsg, sendto,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams of one call.
pub(super) const RECEIVED_MAX: usize = 32;
const MESSAGES_MAX: usize = 64;
/// Room for what is to go, little enough to stay in a core's cache.
const SENT_BYTES: usize = 128 * 1_024;
/// Datagrams of a train, which every kernel that knows trains takes.
const SEGMENTS_MAX: usize = 64;
/// What fits into one datagram of IP.
const TRAIN_BYTES_MAX: usize = 65_000;
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
///
/// Those that go to one client one after another are one train for the kernel, which takes them apart at the end of its way
/// (UDP_SEGMENT): all of the length of the first, only the last may be shorter.
pub(super) struct Outbox {
    bytes: Box<[u8; SENT_BYTES]>,
    /// Where in them the next datagram will lie.
    end: usize,
    messages: [Message; MESSAGES_MAX],
    addresses: [Option<SockaddrStorage>; MESSAGES_MAX],
    used: usize,
    headers: MultiHeaders<SockaddrStorage>,
    train_headers: MultiHeaders<SockaddrStorage>,
    /// Longer datagrams go one by one; 0 where the kernel knows no trains.
    segment_bytes_max: usize,
    /// Whether the socket knows clients of IPv4 under mapped addresses.
    is_v6: bool,
    pub(super) counts: SendCounts,
}

/// What is one message for the kernel: a datagram, or a train.
#[derive(Clone, Copy)]
struct Message {
    to: SocketAddr,
    at: usize,
    bytes: usize,
    segment_bytes: usize,
    segments: usize,
    /// Whether more may join it.
    is_open: bool,
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

/// What the kernel says to a train that it cannot take apart, and not to a datagram.
const REFUSALS: [Errno; 3] = [Errno::EINVAL, Errno::EIO, Errno::EOPNOTSUPP];

impl Outbox {
    pub(super) fn new(is_v6: bool, trains: Trains) -> Self {
        let nothing = Message {
            to: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            at: 0,
            bytes: 0,
            segment_bytes: 0,
            segments: 0,
            is_open: false,
        };
        Self {
            bytes: Box::new([0; SENT_BYTES]),
            end: 0,
            messages: [nothing; MESSAGES_MAX],
            addresses: [None; MESSAGES_MAX],
            used: 0,
            headers: MultiHeaders::preallocate(MESSAGES_MAX, None),
            train_headers: MultiHeaders::preallocate(MESSAGES_MAX, Some(cmsg_space!(u16))),
            segment_bytes_max: if trains == Trains::Known { DATAGRAM_BYTES } else { 0 },
            is_v6,
            counts: SendCounts::default(),
        }
    }

    /// Adds a datagram that is written where it will lie; none if `write` has nothing. Sends all if there are enough.
    pub(super) fn push(&mut self, socket: &UdpSocket, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        if self.end + DATAGRAM_BYTES > SENT_BYTES {
            self.flush(socket);
        }
        let at = self.end;
        let Some(bytes) = write(&mut self.bytes[at..at + DATAGRAM_BYTES]) else { return };
        self.end += bytes;
        if let Some(last) = self.messages[..self.used].last_mut()
            && last.takes(to, bytes, self.segment_bytes_max)
        {
            last.bytes += bytes;
            last.segments += 1;
            last.is_open = bytes == last.segment_bytes;
            return;
        }
        self.messages[self.used] = Message { to, at, bytes, segment_bytes: bytes, segments: 1, is_open: true };
        let address = match to {
            SocketAddr::V4(v4) if self.is_v6 => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            to => to,
        };
        self.addresses[self.used] = Some(address.into());
        self.used += 1;
        if self.used == MESSAGES_MAX {
            self.flush(socket);
        }
    }

    /// Sends what is there.
    pub(super) fn flush(&mut self, socket: &UdpSocket) {
        let used = std::mem::take(&mut self.used);
        self.end = 0;
        let mut done = 0;
        let mut waited = false;
        while done < used {
            match self.send(socket, done, used) {
                Ok(sent) if sent > 0 => {
                    self.counts.sent += self.segments(done, done + sent);
                    done += sent;
                    waited = false;
                }
                Err(Errno::EAGAIN) if !waited => {
                    waited = true;
                    wait_for_room(socket);
                }
                Err(Errno::EAGAIN) => {
                    self.counts.full += self.segments(done, used);
                    return;
                }
                Err(Errno::EINTR) => {}
                // It is the first one's fault.
                Err(errno) if self.messages[done].segments > 1 && REFUSALS.contains(&errno) => {
                    self.send_apart(socket, done, errno);
                    done += 1;
                }
                Ok(_) | Err(_) => {
                    self.counts.failed += self.segments(done, done + 1);
                    done += 1;
                }
            }
        }
    }

    /// Sends the first of these messages, and those behind it that go in the same call of the kernel; how many went.
    fn send(&mut self, socket: &UdpSocket, from: usize, to: usize) -> nix::Result<usize> {
        let first = self.messages[from];
        let is_alike = |message: &&Message| match first.segments {
            1 => message.segments == 1,
            _ => message.segments > 1 && message.segment_bytes == first.segment_bytes,
        };
        let to = from + self.messages[from..to].iter().take_while(is_alike).count();
        let slices: [[IoSlice<'_>; 1]; MESSAGES_MAX] = std::array::from_fn(|n| {
            let Message { at, bytes, .. } = self.messages[n];
            [IoSlice::new(if (from..to).contains(&n) { &self.bytes[at..at + bytes] } else { &[] })]
        });
        let (slices, addresses) = (slices[from..to].iter(), &self.addresses[from..to]);
        let fd = socket.as_raw_fd();
        let segment_bytes = first.segment_bytes as u16;
        let sent = if first.segments > 1 {
            let control = [ControlMessage::UdpGsoSegments(&segment_bytes)];
            sendmmsg(fd, &mut self.train_headers, slices, addresses, control, MsgFlags::MSG_DONTWAIT)
        } else {
            let control: [ControlMessage<'_>; 0] = [];
            sendmmsg(fd, &mut self.headers, slices, addresses, control, MsgFlags::MSG_DONTWAIT)
        };
        sent.map(Iterator::count)
    }

    /// Sends the datagrams of a train one by one, and no such train any more if that was why the kernel refused it.
    fn send_apart(&mut self, socket: &UdpSocket, at: usize, errno: Errno) {
        let Message { at: begin, bytes, segment_bytes, .. } = self.messages[at];
        let Some(address) = self.addresses[at] else { return };
        let sent_before = self.counts.sent;
        let mut waited = false;
        for datagram in self.bytes[begin..begin + bytes].chunks(segment_bytes) {
            loop {
                match sendto(socket.as_raw_fd(), datagram, &address, MsgFlags::MSG_DONTWAIT) {
                    Ok(_) => self.counts.sent += 1,
                    Err(Errno::EINTR) => continue,
                    Err(Errno::EAGAIN) if !waited => {
                        waited = true;
                        wait_for_room(socket);
                        continue;
                    }
                    Err(Errno::EAGAIN) => self.counts.full += 1,
                    Err(_) => self.counts.failed += 1,
                }
                break;
            }
        }
        if self.counts.sent > sent_before {
            // Too long for some path, or a socket that cannot do it at all.
            let left = if errno == Errno::EINVAL { segment_bytes - 1 } else { 0 };
            self.segment_bytes_max = self.segment_bytes_max.min(left);
        }
    }

    fn segments(&self, from: usize, to: usize) -> u64 {
        self.messages[from..to].iter().map(|message| message.segments as u64).sum()
    }
}

impl Message {
    /// Whether a datagram may join it.
    fn takes(&self, to: SocketAddr, bytes: usize, segment_bytes_max: usize) -> bool {
        self.is_open
            && (1..=self.segment_bytes).contains(&bytes)
            && self.segment_bytes <= segment_bytes_max
            && self.segments < SEGMENTS_MAX
            && self.bytes + bytes <= TRAIN_BYTES_MAX
            && self.to == to
    }
}

/// Whether the kernel takes trains apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trains {
    Known,
    /// It would send one as a single datagram.
    Unknown,
}

impl Trains {
    /// Asks the kernel.
    pub(super) fn of(socket: &impl AsFd) -> Self {
        match getsockopt(socket, UdpGsoSegment) {
            Ok(_) => Self::Known,
            Err(_) => Self::Unknown,
        }
    }
}

/// This thread has nothing better to do: without room nobody can be sent anything.
fn wait_for_room(socket: &UdpSocket) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    let _ = poll(&mut fds, PollTimeout::from(FULL_MS));
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
    use nix::libc;

    #[tokio::test]
    async fn many_go_and_come_in_order() {
        for (ip, is_v6) in [(IpAddr::V4(Ipv4Addr::LOCALHOST), false), (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), true)]
        {
            let Ok(to) = UdpSocket::bind((ip, 0)).await else { continue };
            let from = UdpSocket::bind((ip, 0)).await.unwrap();
            let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(is_v6, Trains::Known));
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

    /// Two clients' frames of full packets and a shorter last one, and something else between; how long the datagrams were
    /// and what was in them, as each client got them.
    async fn frames(outbox: &mut Outbox, from: &UdpSocket) -> Vec<Vec<(usize, u8)>> {
        let ip = from.local_addr().unwrap().ip();
        let clients = [UdpSocket::bind((ip, 0)).await.unwrap(), UdpSocket::bind((ip, 0)).await.unwrap()];
        let lengths = [1_200, 1_200, 1_200, 700, 1_200, 1_200, 100, 100, 1_300, 5];
        for client in &clients {
            for (n, length) in lengths.iter().enumerate() {
                outbox.push(from, client.local_addr().unwrap(), |buffer| {
                    buffer[..*length].fill(n as u8);
                    Some(*length)
                });
            }
        }
        outbox.flush(from);
        let mut got = Vec::new();
        for client in &clients {
            let mut of_client = Vec::new();
            for _ in lengths {
                let mut buffer = [0xff; DATAGRAM_BYTES];
                let length = client.recv(&mut buffer).await.unwrap();
                assert!(buffer[..length].iter().all(|byte| *byte == buffer[0]));
                of_client.push((length, buffer[0]));
            }
            assert_eq!(of_client, lengths.iter().copied().zip(0..).collect::<Vec<_>>());
            got.push(of_client);
        }
        got
    }

    #[tokio::test]
    async fn trains_arrive_as_the_datagrams_that_they_are_of() {
        for (ip, is_v6) in [(IpAddr::V4(Ipv4Addr::LOCALHOST), false), (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), true)]
        {
            let Ok(from) = UdpSocket::bind((ip, 0)).await else { continue };
            for trains in [Trains::of(&from), Trains::Unknown] {
                let mut outbox = Outbox::new(is_v6, trains);
                let before = outbox.segment_bytes_max;
                frames(&mut outbox, &from).await;
                assert_eq!(outbox.counts, SendCounts { sent: 20, full: 0, failed: 0 });
                assert_eq!(outbox.segment_bytes_max, before);
            }
        }
    }

    #[tokio::test]
    async fn what_goes_to_one_client_is_one_message_while_it_fits() {
        let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut outbox = Outbox::new(false, Trains::Known);
        let (one, other) = (from.local_addr().unwrap(), SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9));
        for (to, length) in [(one, 90), (one, 90), (one, 20), (one, 20), (one, 20), (other, 20), (one, 21), (one, 22)] {
            outbox.push(&from, to, |_| Some(length));
        }
        let messages = outbox.messages[..outbox.used].iter();
        let messages: Vec<_> = messages.map(|m| (m.at, m.bytes, m.segment_bytes, m.segments)).collect();
        assert_eq!(messages, [(0, 200, 90, 3), (200, 40, 20, 2), (240, 20, 20, 1), (260, 21, 21, 1), (281, 22, 22, 1)]);
        let mut outbox = Outbox::new(false, Trains::Known);
        for _ in 0..=SEGMENTS_MAX {
            outbox.push(&from, one, |_| Some(3));
        }
        assert_eq!(outbox.messages[..outbox.used].iter().map(|m| m.segments).collect::<Vec<_>>(), [SEGMENTS_MAX, 1]);
    }

    nix::setsockopt_impl!(NoChecksum, libc::SOL_SOCKET, libc::SO_NO_CHECK, bool, nix::sys::socket::sockopt::SetBool);

    #[derive(Clone, Copy)]
    struct NoChecksum;

    #[tokio::test]
    async fn a_train_that_the_kernel_refuses_goes_one_by_one_and_is_the_last() {
        let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        // Without checksums it takes no trains.
        nix::sys::socket::setsockopt(&from, NoChecksum, &true).unwrap();
        let mut outbox = Outbox::new(false, Trains::of(&from));
        assert_eq!(outbox.segment_bytes_max, DATAGRAM_BYTES);
        frames(&mut outbox, &from).await;
        assert_eq!(outbox.counts, SendCounts { sent: 20, full: 0, failed: 0 });
        assert!(outbox.segment_bytes_max < 1_200, "{}", outbox.segment_bytes_max);
        frames(&mut outbox, &from).await;
        assert_eq!(outbox.counts, SendCounts { sent: 40, full: 0, failed: 0 });
    }

    #[tokio::test]
    async fn what_the_kernel_refuses_does_not_hold_up_the_rest() {
        let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut outbox = Outbox::new(false, Trains::Known);
        let nowhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        for address in [nowhere, nowhere, to.local_addr().unwrap(), nowhere] {
            outbox.push(&from, address, |_| Some(1));
        }
        outbox.flush(&from);
        assert_eq!(outbox.counts, SendCounts { sent: 1, full: 0, failed: 3 });
        assert_eq!(outbox.segment_bytes_max, DATAGRAM_BYTES, "that was not the train's fault");
        to.recv(&mut [0]).await.unwrap();
    }
}
