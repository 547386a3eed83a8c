//! Who builds WebAssembly: the active toolchain with the target installed, or Debian's rustc, which carries the
//! sources of the standard library.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::{paths, shell};

/// The component's target.
pub const TARGET: &str = "wasm32-wasip2";

/// Debian's packages that can build [`TARGET`].
pub const DEBIAN_PACKAGES: &[&str] =
    &["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22", "wasi-libc"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

/// A way to build WebAssembly on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// The toolchain that runs this program has the target's standard library.
    Toolchain,
    /// Debian's compiler, which builds the standard library from source.
    Debian,
}

impl Builder {
    /// The best builder that is already here; `ROOKERY_WASM_BUILDER` (`toolchain` or `debian`) names one instead.
    pub fn find() -> Option<Self> {
        let wanted = env::var("ROOKERY_WASM_BUILDER").ok();
        [Self::Toolchain, Self::Debian]
            .into_iter()
            .filter(|builder| wanted.as_deref().is_none_or(|name| name == builder.name()))
            .find(|builder| builder.is_here())
    }

    /// Whether the set-up may try to add the target to the active toolchain.
    pub fn toolchain_allowed() -> bool {
        env::var("ROOKERY_WASM_BUILDER").map_or(true, |name| name == Self::Toolchain.name())
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Toolchain => "toolchain",
            Self::Debian => "debian",
        }
    }

    fn is_here(self) -> bool {
        match self {
            Self::Toolchain => {
                let folder = shell::output(paths::rustc().args(["--print", "target-libdir", "--target", TARGET]));
                folder.is_some_and(|folder| Path::new(&folder).is_dir())
            }
            Self::Debian => {
                let parts = [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_STD, DEBIAN_LIBC];
                parts.into_iter().all(|part| Path::new(part).exists())
                    // Another package's older rustc in the same place would not know the target.
                    && shell::output(shell::clean(DEBIAN_RUSTC).args(["--print", "target-list"]))
                        .is_some_and(|list| list.lines().any(|line| line == TARGET))
            }
        }
    }

    /// Compiler and version, for the stamp that says what the component was built with.
    pub fn identity(self) -> Option<String> {
        match self {
            Self::Toolchain => shell::output(paths::rustc().arg("-vV")),
            Self::Debian => shell::output(shell::clean(DEBIAN_RUSTC).arg("-vV")),
        }
    }

    /// `cargo build --target …`, ready for more arguments.
    pub fn cargo_build(self) -> Command {
        let mut command = match self {
            Self::Toolchain => paths::cargo(),
            Self::Debian => {
                let mut command = shell::clean(DEBIAN_CARGO);
                command
                    .current_dir(paths::root())
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("CARGO")
                    .env("RUSTC", DEBIAN_RUSTC)
                    // Building the standard library is an unstable flag of a stable compiler.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("-L native={DEBIAN_LIBC}"));
                command
            }
        };
        command.args(["build", "--target", TARGET]);
        if self == Self::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}
