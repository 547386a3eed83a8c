//! When the kernel had what a socket received, by its own clock: a client that is late to read does not count.

// The system call and its control messages have no safe form in the crates that are built anyway.
#![expect(unsafe_code, reason = "recvmsg with SCM_TIMESTAMPNS")]

use std::io;
use std::os::fd::AsRawFd;

/// Room for one control message with a time, and then some.
const CONTROL_WORDS: usize = 16;

/// Asks for the times of what this socket receives.
pub fn enable(stream: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, and it lives longer than the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads, with the time of the last byte in nanoseconds of the real-time clock.
///
/// There is no time for a moment behind the first [`enable`] of a machine: the kernel begins to mark packets later.
pub fn receive(stream: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros is a message without name, data and control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the buffers that the message names live longer than the call, and their lengths are theirs.
    let read = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, 0) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    let mut at_ns = None;
    // SAFETY: the kernel wrote the control messages, which the macros walk within their length; a time is one whole
    // timespec, read without regard to its alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_TIMESTAMPNS {
                let at: libc::timespec = libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned();
                at_ns = Some(at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64);
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok((read, at_ns))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_is_received_has_a_time_between_before_and_after() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        enable(&client).unwrap();
        let now_ns = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let mut receive_one = || {
            let before = now_ns();
            server.write_all(b"a").unwrap();
            let mut buffer = [0; 16];
            let (read, at_ns) = receive(&client, &mut buffer).unwrap();
            assert_eq!(&buffer[..read], b"a");
            at_ns.map(|at_ns| (before, at_ns, now_ns()))
        };
        // The kernel switches the marking of packets on in its own time, behind the call that asked for it.
        let began = Instant::now();
        let (before, at_ns, after) = loop {
            if let Some(times) = receive_one() {
                break times;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "nothing that came had a time");
        };
        assert!(before <= at_ns && at_ns <= after);
    }
}
