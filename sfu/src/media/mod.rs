//! Media: for each core of the machine a thread with a socket, and the rooms that are on it.

mod batch;
mod cascade;
mod command;
mod core;
mod downlink;
mod payload;
mod ring;
mod room;
mod stats;
mod uplink;
mod way;

pub(crate) use command::{Command, MemberRef, Refused};
pub(crate) use core::{ask_rooms, ask_stats};
pub(crate) use stats::{CoreStats, RoomCounts, UNDELIVERED};
pub(crate) use way::PayloadTypes;

use rookery_node_link::DropReason as LinkDropReason;
use rookery_rtp::DropReason;
use rookery_webrtc::{Certificate, DropReason as WebRtcDropReason, WebRtcConfig, WebRtcEndpoint, WebRtcLimits};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::batch::{Inbox, Trains};
use self::core::Core;
use self::room::Presence;
use crate::clock::Clock;
use crate::config::SfuConfig;
use crate::events::{MediaCounts, ReceiveFailed};

/// Full batches of datagrams that are taken before commands are looked at.
const BATCHES_MAX: usize = 8;
/// Datagrams that are sent before commands are looked at, give or take a batch.
const SENT_MAX: u64 = 16_384;
/// Commands that are done before datagrams are looked at.
const COMMANDS_MAX: usize = 64;
/// Pause between looks at what is due because time passed.
const TICK: Duration = Duration::from_millis(50);
/// Ticks between looks at how busy the thread is.
const TICKS_OF_UTILISATION: u32 = 10;
/// Ticks between reports.
const TICKS_OF_REPORT: u32 = 100;

/// A core of the machine that is given to media.
pub(crate) struct MediaCore {
    pub(crate) address: SocketAddr,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) thread: JoinHandle<()>,
    /// How busy it is, in thousandths of its time.
    pub(crate) utilisation: Arc<AtomicU16>,
}

/// Binds the sockets and starts a thread for each. A thread ends when it is told to, or when nobody can tell it anything any more.
pub(crate) fn start(config: &SfuConfig, clock: Clock) -> io::Result<Vec<MediaCore>> {
    let cores = match config.cores {
        Some(cores) => cores,
        None => std::thread::available_parallelism()?.get(),
    };
    let bind_one = |at: usize| {
        let mut address = config.media;
        if address.port() != 0 {
            let port = u16::try_from(usize::from(address.port()) + at);
            address.set_port(port.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?);
        }
        bind(address, config.media_buffer_bytes)
    };
    // One for the process, which SDP names.
    let certificate = Certificate::generate().map_err(io::Error::other)?;
    let sockets = (0..cores).map(bind_one).collect::<io::Result<Vec<_>>>()?;
    sockets.into_iter().enumerate().map(|(index, socket)| spawn(index, socket, config, clock, &certificate)).collect()
}

fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<StdUdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Whatever the kernel gives of it is good.
    let _ = socket.set_recv_buffer_size(buffer_bytes);
    let _ = socket.set_send_buffer_size(buffer_bytes);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn spawn(
    index: usize,
    socket: StdUdpSocket,
    config: &SfuConfig,
    clock: Clock,
    certificate: &Certificate,
) -> io::Result<MediaCore> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let address = socket.local_addr()?;
    let (commands, inbox) = mpsc::channel(config.command_capacity);
    let presence =
        Presence { members_max: config.presence_members_max, interval_us: config.presence_interval_ms * 1_000 };
    let ip = config.advertised_ip.unwrap_or(address.ip()).to_canonical();
    let webrtc = WebRtcEndpoint::new(WebRtcConfig {
        certificate: certificate.clone(),
        candidates: vec![SocketAddr::new(ip, address.port())],
        epoch: clock.epoch(),
        limits: WebRtcLimits::default(),
    });
    let (node, webrtc) = (config.node, webrtc.map_err(io::Error::other)?);
    let trains = Trains::of(&socket);
    // Made where it is used: what it sends with stays with one thread.
    let core = move || Core::new(node, presence, address.is_ipv6(), trains, webrtc);
    let utilisation = Arc::new(AtomicU16::new(0));
    let told = Arc::clone(&utilisation);
    let run = move || drive(index, &runtime, socket, inbox, clock, core(), &told);
    let thread = std::thread::Builder::new().name(format!("sfu-media-{index}")).spawn(run)?;
    Ok(MediaCore { address, commands, thread, utilisation })
}

fn drive(
    index: usize,
    runtime: &Runtime,
    socket: StdUdpSocket,
    commands: mpsc::Receiver<Command>,
    clock: Clock,
    core: Core,
    utilisation: &AtomicU16,
) {
    runtime.block_on(async move {
        match UdpSocket::from_std(socket) {
            Ok(socket) => run(index, &socket, commands, clock, core, utilisation).await,
            Err(error) => ReceiveFailed { core: index, error: &error }.emit(),
        }
    });
}

async fn run(
    index: usize,
    socket: &UdpSocket,
    mut commands: mpsc::Receiver<Command>,
    clock: Clock,
    mut core: Core,
    utilisation: &AtomicU16,
) {
    let mut inbox = Inbox::new();
    let mut tick_at = Instant::now() + TICK;
    let (mut ticks, mut busy_us, mut measured_us) = (0_u32, 0, clock.now_us());
    loop {
        let due_at = core.due_us().map_or(tick_at, |due_us| Instant::from_std(clock.at_us(due_us)).min(tick_at));
        let woken_us = tokio::select! {
            command = commands.recv() => {
                let Some(command) = command else { return };
                let now_us = clock.now_us();
                let mut flow = core.command(now_us, command);
                for _ in 1..COMMANDS_MAX {
                    let Ok(command) = commands.try_recv() else { break };
                    flow = core.command(now_us, command);
                    if flow.is_break() {
                        break;
                    }
                }
                if flow.is_break() {
                    return;
                }
                now_us
            }
            _ = socket.readable() => {
                let now_us = clock.now_us();
                receive(index, socket, clock, &mut inbox, &mut core);
                now_us
            }
            () = sleep_until(due_at) => clock.now_us(),
        };
        let now = Instant::now();
        if now >= tick_at {
            tick_at = now + TICK;
            let now_us = clock.now_us();
            ticks = ticks.wrapping_add(1);
            core.tick(now_us, socket);
            if ticks.is_multiple_of(TICKS_OF_UTILISATION) {
                let passed_us = now_us.saturating_sub(measured_us).max(1);
                let permille = u16::try_from(busy_us * 1_000 / passed_us).unwrap_or(1_000).min(1_000);
                core.set_utilisation(now_us, permille);
                utilisation.store(permille, Ordering::Relaxed);
                (busy_us, measured_us) = (0, now_us);
            }
            if ticks.is_multiple_of(TICKS_OF_REPORT) {
                report(index, &core.stats());
            }
        }
        core.settle(clock.now_us(), socket);
        busy_us += clock.now_us().saturating_sub(woken_us);
    }
}

fn receive(index: usize, socket: &UdpSocket, clock: Clock, inbox: &mut Inbox, core: &mut Core) {
    let sent_before = core.outbox.counts.sent;
    for _ in 0..BATCHES_MAX {
        let count = match inbox.receive(socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return ReceiveFailed { core: index, error: &error }.emit(),
        };
        let now_us = clock.now_us();
        for at in 0..count {
            let (from, datagram) = inbox.datagram(at);
            core.datagram(now_us, socket, from, datagram);
        }
        core.send_gathered(now_us, socket);
        if count < batch::RECEIVED_MAX || core.outbox.counts.sent - sent_before > SENT_MAX {
            return;
        }
    }
}

fn report(index: usize, stats: &CoreStats) {
    let datagrams_dropped: Vec<_> =
        DropReason::ALL.iter().zip(stats.datagrams_dropped).map(|(reason, count)| (reason.name(), count)).collect();
    let packets_dropped: Vec<_> =
        UNDELIVERED.iter().zip(stats.packets_dropped).map(|((_, name), count)| (*name, count)).collect();
    let web_rtc = WebRtcDropReason::ALL.iter().zip(stats.web_rtc_dropped);
    let web_rtc_dropped: Vec<_> = web_rtc.map(|(reason, count)| (reason.name(), count)).collect();
    let links = LinkDropReason::ALL.iter().zip(stats.link_dropped);
    let link_dropped: Vec<_> = links.map(|(reason, count)| (reason.name(), count)).collect();
    MediaCounts {
        core: index,
        members: stats.members,
        rooms: stats.rooms,
        utilisation_permille: stats.utilisation_permille,
        jitter_us: stats.jitter_us(),
        totals: &[
            ("datagrams_in", stats.datagrams_in),
            ("datagrams_out", stats.datagrams_out),
            ("packets_in", stats.packets_in),
            ("packets_out", stats.packets_out),
            ("unsent", stats.unsent),
            ("packets_lost", stats.lost),
            ("video_packets", stats.video_packets),
            ("video_unknown", stats.video_unknown),
            ("unwritten", stats.unwritten),
            ("key_frames_asked", stats.key_frames_asked),
            ("web_rtc_connected", stats.web_rtc_connected),
            ("web_rtc_gone", stats.web_rtc_gone),
            ("link_packets_in", stats.link_packets_in),
            ("link_packets_out", stats.link_packets_out),
        ],
        datagrams_dropped: &datagrams_dropped,
        web_rtc_dropped: &web_rtc_dropped,
        links: stats.links,
        links_up: stats.links_up,
        link_dropped: &link_dropped,
        packets_dropped: &packets_dropped,
    }
    .emit();
}

/// The cores, as sessions reach them.
pub(crate) type Cores = Arc<[(SocketAddr, mpsc::Sender<Command>)]>;
