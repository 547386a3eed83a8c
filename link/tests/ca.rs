//! The deployment's CA on disk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rookery_link::ca::{CERTIFICATE_FILE, KEY_FILE};
use rookery_link::{CaError, DeploymentCa, Identity, LinkTls, Role};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn fresh() -> (tempfile::TempDir, DeploymentCa) {
    let dir = tempfile::tempdir().unwrap();
    let ca = DeploymentCa::create_or_load(dir.path()).unwrap();
    (dir, ca)
}

#[test]
fn it_is_made_once_and_then_loaded() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("state/ca");
    let made = DeploymentCa::create_or_load(&dir).unwrap();
    assert_eq!(mode(&dir.join(KEY_FILE)), 0o600);
    assert_eq!(mode(&dir.join(CERTIFICATE_FILE)), 0o644);
    assert_eq!(made.certificate_path(), dir.join(CERTIFICATE_FILE));
    let loaded = DeploymentCa::create_or_load(&dir).unwrap();
    assert_eq!(loaded.certificate(), made.certificate());
    // What the loaded one issues is of the CA that was made.
    let identity = loaded.issue(Role::Region, &[]).unwrap();
    LinkTls::new(&[made.certificate().clone()], identity).unwrap().server_config().unwrap();
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn several_processes_at_once_get_the_same_one() {
    let dir = tempfile::tempdir().unwrap();
    let certificates: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| DeploymentCa::create_or_load(dir.path()).unwrap())).collect();
        racers.into_iter().map(|racer| racer.join().unwrap().certificate().clone()).collect()
    });
    assert!(certificates.iter().all(|certificate| *certificate == certificates[0]));
}

#[test]
fn a_crash_between_key_and_certificate_is_made_good() {
    let (dir, _) = fresh();
    let key = fs::read(dir.path().join(KEY_FILE)).unwrap();
    fs::remove_file(dir.path().join(CERTIFICATE_FILE)).unwrap();
    // And a half-written file of the same crash.
    fs::write(dir.path().join("ca.pem.tmp"), "-----BEGIN CERT").unwrap();
    DeploymentCa::create_or_load(dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join(KEY_FILE)).unwrap(), key);
    DeploymentCa::create_or_load(dir.path()).unwrap();
}

#[test]
fn a_lost_key_is_not_replaced_behind_the_operators_back() {
    let (dir, _) = fresh();
    fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
    let error = DeploymentCa::create_or_load(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::KeyMissing { .. }), "{error}");
    assert!(error.to_string().contains("ca.key"), "{error}");
    assert!(!dir.path().join(KEY_FILE).exists());
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_remedy() {
    let (dir, _) = fresh();
    fs::set_permissions(dir.path().join(KEY_FILE), fs::Permissions::from_mode(0o644)).unwrap();
    let error = DeploymentCa::create_or_load(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::KeyReadableByOthers { mode: 0o644, .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn damaged_and_mixed_up_files_are_named() {
    let (dir, _) = fresh();
    let (other, _) = fresh();
    fs::copy(other.path().join(CERTIFICATE_FILE), dir.path().join(CERTIFICATE_FILE)).unwrap();
    let error = DeploymentCa::create_or_load(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::KeyMismatch { .. }), "{error}");

    fs::write(dir.path().join(CERTIFICATE_FILE), "no certificate").unwrap();
    let error = DeploymentCa::create_or_load(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::Malformed { .. }) && error.to_string().contains("ca.pem"), "{error}");

    fs::write(dir.path().join(KEY_FILE), "no key").unwrap();
    let error = DeploymentCa::create_or_load(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::Malformed { .. }) && error.to_string().contains("ca.key"), "{error}");
}

#[test]
fn an_issued_certificate_is_not_taken_for_a_ca() {
    let (dir, ca) = fresh();
    let leaf = ca.issue(Role::Region, &[]).unwrap();
    fs::write(dir.path().join(CERTIFICATE_FILE), leaf.chain_pem()).unwrap();
    fs::write(dir.path().join(KEY_FILE), leaf.key_pem()).unwrap();
    let error = DeploymentCa::create_or_load(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::Malformed { .. }), "{error}");
}

#[test]
fn role_names_cannot_be_asked_for() {
    let (_dir, ca) = fresh();
    for name in ["region.rookery.internal", "*.rookery.internal", "ROOKERY.internal", "pop.Rookery.Internal."] {
        for result in [ca.issue(Role::Pop, &[name.to_owned()]), ca.issue_https(&[name.to_owned()])] {
            assert!(matches!(result, Err(CaError::ReservedName { .. })), "{name}");
        }
    }
    ca.issue_https(&["rookery.internal.example.org".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]).unwrap();
}

#[test]
fn identities_survive_pem() {
    let (_dir, ca) = fresh();
    let identity = ca.issue(Role::Pop, &["pop-1.example.org".to_owned()]).unwrap();
    let back = Identity::from_pem(identity.chain_pem().as_bytes(), identity.key_pem().as_bytes()).unwrap();
    assert_eq!(back.chain(), identity.chain());
    assert_eq!(back.key(), identity.key());
    assert!(Identity::from_pem(b"", identity.key_pem().as_bytes()).is_err());
    assert!(Identity::from_pem(identity.chain_pem().as_bytes(), b"").is_err());
    let shown = format!("{identity:?} {ca:?}");
    assert!(!shown.contains("key"), "a key must not show: {shown}");
}
