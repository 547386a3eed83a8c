//! A real node: brought up, killed, started, stopped, brought down.

use std::net::TcpStream;

use rookery_test_cluster::{Cluster, Lifetime, Runtime, Starts, State, TemporaryCluster, Topology, Up};

fn state(cluster: &Cluster) -> State {
    cluster.nodes().expect("the nodes' states")[0].1
}

fn states_of_ring(cluster: &Cluster) -> Vec<String> {
    let ring = cluster.ring("dc1-1").expect("nodetool status");
    ring.into_iter().map(|entry| format!("{} {}", entry.state, entry.address)).collect()
}

#[test]
fn a_node_comes_up_dies_comes_back_and_goes() {
    let Some(runtime) = Runtime::from_env().unwrap() else {
        println!("SKIPPED: ROOKERY_SKIP_CQL is set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Java reads this path from settings, URLs and options.
    let place = folder.path().join("a cluster's #1");
    let cluster = TemporaryCluster::start(&place, 1, 1, Lifetime::Detached, Starts::Again, &runtime).unwrap();
    let address = cluster.contact_points()[0];
    let State::Running { pid: first } = state(&cluster) else { panic!("the node does not run") };
    assert_eq!(states_of_ring(&cluster), [format!("UN {}", address.ip())]);

    // Brought up again, by another handle of the same folder: nothing to do. Another topology is refused.
    let same = Cluster::open(&place, &runtime).unwrap().unwrap();
    assert_eq!(same.up().unwrap(), Up::Already);
    let other = Topology::new(2, 1, same.topology().subnet()).unwrap();
    let refused = Cluster::create(&place, other, &runtime).unwrap_err().to_string();
    assert!(refused.contains("holds a cluster of 1 data centre of 1 node on"), "{refused}");
    assert!(refused.contains("cargo xtask cql down --delete"), "{refused}");
    assert_eq!(same.start("dc1-1").unwrap_err().to_string(), "dc1-1 runs already");
    assert_eq!(same.kill("dc9-1").unwrap_err().to_string(), "there is no node dc9-1; there are dc1-1");

    cluster.kill("dc1-1").unwrap();
    assert_eq!(state(&cluster), State::Stopped);
    assert!(TcpStream::connect(address).is_err(), "a killed node answers");
    assert_eq!(cluster.kill("dc1-1").unwrap_err().to_string(), "dc1-1 does not run");

    cluster.start("dc1-1").unwrap();
    let State::Running { pid: second } = state(&cluster) else { panic!("the node does not run") };
    assert_ne!(first, second);
    assert_eq!(states_of_ring(&cluster), [format!("UN {}", address.ip())]);

    assert_eq!(same.down().unwrap(), 1);
    assert_eq!(state(&cluster), State::Stopped);
    assert_eq!(same.down().unwrap(), 0);
    assert!(place.join("dc1-1/data").is_dir(), "what was stored is gone after `down`");
    drop(cluster);
    assert!(!place.exists(), "a temporary cluster left its folder");
}
