//! A lab of two regions comes up, is a delay apart, is broken and mended, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says what it left out")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rookery_lab::{Fault, Interrupt, Lab, Mode, Options, Programs, RegionState, Status, connect_time, enter};
use rookery_tests::{Guild, Person};

mod voice;

const DELAY: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(20);
/// Of several measurements the best counts: the machine may be busy.
const MEASUREMENTS: usize = 20;

fn programs() -> Option<Programs> {
    Programs::from_env(Path::new(env!("CARGO_BIN_EXE_rookery-wan"))).unwrap()
}

fn options() -> Options {
    Options { regions: 2, delay_ms: 25.0, loss_percent: 0.0, ..Options::default() }
}

/// What must be gone once a lab is down.
struct Traces {
    pids: Vec<u32>,
    networks: Vec<RegionState>,
    folder: PathBuf,
}

impl Traces {
    fn of(lab: &Lab) -> Self {
        let state = lab.state();
        Self {
            pids: state.processes.iter().filter_map(|process| process.pid).collect(),
            networks: state.regions.clone(),
            folder: lab.folder().to_owned(),
        }
    }

    fn assert_none(&self) {
        for pid in &self.pids {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
        }
        for region in &self.networks {
            let namespace = region.namespace.as_ref().map(|name| Path::new("/run/netns").join(name));
            assert!(!namespace.is_some_and(|path| path.exists()), "the namespace of {} is still there", region.name);
            assert!(!Path::new("/sys/class/net").join(&region.link).exists(), "{} is still there", region.link);
        }
        assert!(!self.folder.join("lab.json").exists());
    }
}

#[test]
fn two_regions_are_a_delay_apart_and_are_broken_and_mended() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut lab =
        Lab::up(folder.path(), &programs, &options(), &Interrupt::never(), &|line| eprintln!("{line}")).unwrap();
    let traces = Traces::of(&lab);
    // Whatever fails from here on, nothing of it stays.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let status = lab.status().unwrap();
        assert!(status.healthy, "{status:#?}");
        a_second_one_is_refused(folder.path(), &programs);
        each_point_of_presence_names_the_gateway_near_it(&lab);
        if status.mode == Mode::Namespaces {
            regions_are_a_delay_apart(&lab, &status);
            a_cut_is_seen_and_mended_and_calls_wait(&mut lab);
        }
        voice::bots_of_both_regions_hear_each_other(&mut lab);
        who_is_not_there_is_not_broken(&mut lab);
        a_region_dies_and_comes_back(&mut lab);
    }));
    lab.down().unwrap();
    traces.assert_none();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn a_second_one_is_refused(folder: &Path, programs: &Programs) {
    let error = Lab::up(folder, programs, &options(), &Interrupt::never(), &|_| {}).unwrap_err().to_string();
    assert!(error.starts_with("a lab is up in") && error.contains("cargo xtask lab down"), "{error}");
}

/// Soon: one that did not reach its own region at once asked another.
fn each_point_of_presence_names_the_gateway_near_it(lab: &Lab) {
    for region in ["eu", "us"] {
        let pop = lab.state().process(&format!("{region}-pop")).unwrap().address("api").unwrap();
        let gateway = &lab.state().process(&format!("{region}-1")).unwrap().addresses["gateway"];
        let start = Instant::now();
        loop {
            let answer = gateway_of(pop);
            if answer.contains(gateway.as_str()) {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{region} does not name {gateway}: {answer}");
        }
    }
}

fn gateway_of(pop: SocketAddr) -> String {
    let mut stream = TcpStream::connect(pop).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /api/v10/gateway HTTP/1.1\r\nhost: lab.test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// TCP and UDP alike, both ways; and not to this machine.
fn regions_are_a_delay_apart(lab: &Lab, status: &Status) {
    let state = lab.state();
    let both_ways = DELAY * 2;
    for (from, to) in [("eu", "us"), ("us", "eu")] {
        let namespace = state.region(from).unwrap().namespace.as_deref();
        let bus = state.process(&format!("{to}-bus-1")).unwrap().address("nats").unwrap();
        let times: Vec<_> = (0..MEASUREMENTS).map(|_| connect_time(namespace, bus, PATIENCE).unwrap()).collect();
        let best = times.iter().min().unwrap();
        assert!(*best >= both_ways && *best < both_ways * 2, "TCP from {from} to {to} takes {times:?}");
        let near = (0..MEASUREMENTS).map(|_| connect_time(None, bus, PATIENCE).unwrap()).min().unwrap();
        assert!(near < DELAY, "TCP from here to {to} takes {near:?}");
    }
    let dns = state.process("eu-dns-ns1").unwrap().address("dns").unwrap();
    let far = (0..MEASUREMENTS).map(|_| answer_time(state.region("us").unwrap(), dns)).min().unwrap();
    assert!(far >= both_ways && far < both_ways * 2, "UDP from us to eu takes {far:?}");
    let near = (0..MEASUREMENTS).map(|_| answer_time(state.region("eu").unwrap(), dns)).min().unwrap();
    assert!(near < DELAY, "UDP inside eu takes {near:?}");
    for region in &status.regions {
        let bytes = region.wan_bytes.unwrap();
        assert!(bytes.sent > 0 && bytes.received > 0, "{bytes:?}");
        assert!(region.round_trip_ms.values().all(|ms| ms.unwrap() >= both_ways.as_secs_f64() * 1_000.0), "{region:?}");
    }
}

/// How long a name server takes to answer someone in a region.
fn answer_time(region: &RegionState, server: SocketAddr) -> Duration {
    let namespace = region.namespace.clone().unwrap();
    let ask = move || {
        enter(&namespace).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(server).unwrap();
        // The start of authority of lab.test.
        let question = b"\x01\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03lab\x04test\x00\x00\x06\x00\x01";
        let start = Instant::now();
        socket.send(question).unwrap();
        let length = socket.recv(&mut [0; 512]).unwrap();
        assert!(length > question.len());
        start.elapsed()
    };
    std::thread::spawn(ask).join().unwrap()
}

fn reaches(status: &Status, from: &str, to: &str) -> bool {
    let region = status.regions.iter().find(|region| region.name == from).unwrap();
    region.round_trip_ms[to].is_some()
}

/// Two of two data centres do not hear each other: no lease can be renewed, and nothing is acknowledged until one can.
fn a_cut_is_seen_and_mended_and_calls_wait(lab: &mut Lab) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (alice, guild) = runtime.block_on(a_guild(lab)).unwrap();
    lab.break_region("us", &Fault::CutFrom(Vec::new())).unwrap();
    let status = lab.status().unwrap();
    assert!(!status.healthy && !reaches(&status, "eu", "us") && !reaches(&status, "us", "eu"), "{status:#?}");
    let us = status.regions.iter().find(|region| region.name == "us").unwrap();
    assert_eq!(us.cut_from, ["eu"]);
    // It was cut off, not ended.
    assert!(status.processes.iter().all(|process| process.pid.is_some() && !process.broken), "{status:#?}");
    let start = Instant::now();
    while !runtime.block_on(is_suspended(lab, "eu-1")).unwrap() {
        assert!(start.elapsed() < PATIENCE, "eu-1 has a lease without us");
    }
    let channel_id = guild.channel_id.clone();
    let said = runtime.spawn(async move { alice.say(&channel_id, "said in between").await });
    // Mended from its other side.
    lab.heal(Some("eu"), &Interrupt::never()).unwrap();
    let status = lab.status().unwrap();
    assert!(reaches(&status, "eu", "us") && reaches(&status, "us", "eu"), "{status:#?}");
    assert!(status.regions.iter().all(|region| region.cut_from.is_empty()));
    runtime.block_on(said).unwrap().unwrap();
}

async fn a_guild(lab: &Lab) -> anyhow::Result<(Person, Guild)> {
    let alice = Person::register(&voice::api(lab, "eu")?, "alice").await?;
    let guild = Guild::create(&alice, "Cut").await?;
    Ok((alice, guild))
}

/// Whether nothing is acknowledged at a node.
async fn is_suspended(lab: &Lab, node: &str) -> anyhow::Result<bool> {
    let metrics = voice::of_operator(lab, node, "/metrics").await?;
    Ok(metrics.lines().any(|line| line == "rookery_placement_suspended 1"))
}

fn who_is_not_there_is_not_broken(lab: &mut Lab) {
    let error = lab.break_region("mars", &Fault::Killed).unwrap_err().to_string();
    assert_eq!(error, "the lab has no region \"mars\"; it has eu, us");
    let error = lab.break_node("eu-9").unwrap_err().to_string();
    assert!(error.starts_with("the lab has no process \"eu-9\"; it has "), "{error}");
    let itself = Fault::CutFrom(vec!["eu".into()]);
    assert!(lab.break_region("eu", &itself).unwrap_err().to_string().contains("from itself"));
    assert!(lab.status().unwrap().healthy);
}

fn a_region_dies_and_comes_back(lab: &mut Lab) {
    let before = Traces::of(lab);
    lab.break_region("us", &Fault::Killed).unwrap();
    let status = lab.status().unwrap();
    assert!(!status.healthy);
    for process in &status.processes {
        let is_us = process.region.as_deref() == Some("us");
        assert!(process.broken == is_us && process.pid.is_none() == is_us, "{process:?}");
        // What is left runs on. Whether it is well is the database's to say, which has lost half of its replicas.
        assert!(!(is_us && process.healthy), "{process:?}");
    }
    lab.heal(None, &Interrupt::never()).unwrap();
    let status = lab.status().unwrap();
    assert!(status.healthy, "{status:#?}");
    let after = Traces::of(lab);
    let anew = status.processes.iter().filter(|process| process.region.as_deref() == Some("us")).count();
    assert_eq!(before.pids.iter().filter(|pid| after.pids.contains(pid)).count() + anew, before.pids.len());
}

#[test]
fn what_does_not_come_up_leaves_nothing() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    // The database is starting when this fails.
    let broken = Programs { terraform: "/bin/false".into(), ..programs };
    let error =
        Lab::up(folder.path(), &broken, &options(), &Interrupt::never(), &|line| eprintln!("{line}")).unwrap_err();
    let told = format!("{error:#}");
    assert!(told.contains("did not come up") && told.contains("`terraform init"), "{told}");
    assert!(!folder.path().join("lab.json").exists());
    let folder = folder.path().canonicalize().unwrap();
    // Whoever was started has the folder among its arguments.
    for entry in std::fs::read_dir("/proc").unwrap() {
        let arguments = std::fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        assert!(!arguments.contains(&*folder.to_string_lossy()), "{arguments}");
    }
}
