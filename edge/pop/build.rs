//! Finds the precompiled component that becomes part of the binary.
//!
//! `cargo xtask build` puts it at `<target dir>/component/edge.cwasm`; `ROOKERY_COMPONENT_CWASM` names another place.
//! Without it the crate still builds, with an empty component that says so when it is started.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=ROOKERY_COMPONENT_CWASM");
    println!("cargo::rerun-if-changed=build.rs");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let component = match env::var_os("ROOKERY_COMPONENT_CWASM") {
        Some(path) => PathBuf::from(path),
        None => target_dir(&out_dir).join("component").join("edge.cwasm"),
    };
    let embedded = if component.is_file() {
        println!("cargo::rerun-if-changed={}", component.display());
        component
    } else {
        // Its folder is watched, so that the first component ever built is picked up. An absent path would count as
        // changed at every build, so the folder is made.
        if let Some(folder) = component.parent()
            && std::fs::create_dir_all(folder).is_ok()
        {
            println!("cargo::rerun-if-changed={}", folder.display());
        }
        let empty = out_dir.join("no-component.cwasm");
        std::fs::write(&empty, []).expect("OUT_DIR can be written");
        empty
    };
    println!("cargo::rustc-env=ROOKERY_EMBEDDED_COMPONENT={}", embedded.display());
}

/// The target folder, from `<target>/[<triple>/]<profile>/build/<package>-<hash>/out`.
fn target_dir(out_dir: &Path) -> PathBuf {
    if let Some(dir) = env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(dir);
    }
    let profile_dir = out_dir.ancestors().nth(3).expect("OUT_DIR lies four folders deep in the target folder");
    let parent = profile_dir.parent().expect("the profile's folder lies in the target folder");
    let triple = env::var("TARGET").expect("cargo sets TARGET for build scripts");
    match parent.file_name() {
        Some(name) if name == triple.as_str() => parent.parent().unwrap_or(parent).to_owned(),
        _ => parent.to_owned(),
    }
}
