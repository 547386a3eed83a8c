//! Points of presence as a name server sees them: a port that says how they are.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// What a point of presence answers to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Says {
    /// 200.
    Ready = 0,
    /// 503, as while it drains or reaches no region.
    NotReady = 1,
    /// Nothing: the connection is closed.
    Nothing = 2,
}

/// Listeners on several addresses and one port.
pub struct Pops {
    port: u16,
    pops: Vec<Pop>,
}

struct Pop {
    address: Ipv4Addr,
    says: Arc<AtomicU8>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Ports tried until one is free on every address.
const PORTS_TRIED: usize = 20;

impl Pops {
    /// Listens on each address; all are ready.
    pub fn start(addresses: &[Ipv4Addr]) -> Result<Self> {
        let first = *addresses.first().context("no address")?;
        for _ in 0..PORTS_TRIED {
            let port = TcpListener::bind((first, 0))?.local_addr()?.port();
            let listeners: std::io::Result<Vec<_>> =
                addresses.iter().map(|address| TcpListener::bind((*address, port))).collect();
            if let Ok(listeners) = listeners {
                let pops = addresses.iter().zip(listeners).map(|(address, it)| Pop::serve(*address, it)).collect();
                return Ok(Self { port, pops });
            }
        }
        bail!("no port is free on all of {addresses:?}")
    }

    /// The port of all of them.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what one answers from now on.
    pub fn set(&self, address: Ipv4Addr, says: Says) {
        for pop in self.pops.iter().filter(|pop| pop.address == address) {
            pop.says.store(says as u8, Ordering::Relaxed);
        }
    }
}

impl Drop for Pops {
    fn drop(&mut self) {
        for pop in &mut self.pops {
            pop.ended.store(true, Ordering::Relaxed);
            // Wakes it out of `accept`.
            drop(TcpStream::connect_timeout(&SocketAddr::from((pop.address, self.port)), Duration::from_secs(1)));
            drop(pop.thread.take().map(JoinHandle::join));
        }
    }
}

impl Pop {
    fn serve(address: Ipv4Addr, listener: TcpListener) -> Self {
        let (says, ended) = (Arc::new(AtomicU8::new(Says::Ready as u8)), Arc::new(AtomicBool::new(false)));
        let (its_says, its_end) = (Arc::clone(&says), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if its_end.load(Ordering::Relaxed) {
                    return;
                }
                // A check that was given up is none of ours.
                drop(stream.and_then(|stream| answer(stream, its_says.load(Ordering::Relaxed))));
            }
        });
        Self { address, says, ended, thread: Some(thread) }
    }
}

/// Answers one check; one of another path than `/readyz` is not found.
fn answer(mut stream: TcpStream, says: u8) -> std::io::Result<()> {
    if says == Says::Nothing as u8 {
        return Ok(());
    }
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut part = [0; 512];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            count => request.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
    }
    let status = match request.starts_with(b"GET /readyz HTTP/1.") {
        false => "404 Not Found",
        true if says == Says::Ready as u8 => "200 OK",
        true => "503 Service Unavailable",
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}
