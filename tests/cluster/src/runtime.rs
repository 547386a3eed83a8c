//! The programs that a cluster runs with: Java, Cassandra's jars, class archives.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Names Java 17's `java`; set by `cargo xtask test` and `cargo xtask env`.
const JAVA_VARIABLE: &str = "ROOKERY_TEST_JAVA";
/// Names the folder that holds Cassandra's jars.
const FOLDER_VARIABLE: &str = "ROOKERY_TEST_CASSANDRA";
/// Set where tests that need a cluster are to be left out.
pub const SKIP_VARIABLE: &str = "ROOKERY_SKIP_CQL";

const JVM_OPTIONS: &str = include_str!("../../../infra/cassandra/jvm17.options");
const MODULE_OPTIONS: &str = include_str!("../../../infra/cassandra/modules.options");
const NODE_LOG: &str = include_str!("../../../infra/cassandra/logback.xml");
const TOOL_LOG: &str = include_str!("../../../infra/cassandra/logback-tools.xml");

/// Java and the folder of Cassandra's jars.
#[derive(Debug, Clone)]
pub struct Runtime {
    java: PathBuf,
    pub(crate) folder: PathBuf,
    class_path: OsString,
    /// jamm, with which Cassandra measures its memtables.
    agent: PathBuf,
    /// What tells this Java from others, as a file name.
    java_build: String,
}

/// Whose class archive: programs load different classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Node,
    Nodetool,
}

/// Whether a program reads the archive or leaves one behind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Archive<'a> {
    /// Starts with a quarter less work where the archive has been made.
    Use,
    /// Written to this file when the program ends in good order.
    Make(&'a Path),
}

impl Runtime {
    /// The one that the variables of `cargo xtask env` name; `None` where the tests are to be left out.
    pub fn from_env() -> Result<Option<Self>> {
        if env::var_os(SKIP_VARIABLE).is_some() {
            return Ok(None);
        }
        let get = |name: &str| {
            env::var_os(name).with_context(|| {
                format!("{name} is not set: use `cargo xtask test` or `eval \"$(cargo xtask env)\"`, or set {SKIP_VARIABLE}=1")
            })
        };
        Self::open(Path::new(&get(JAVA_VARIABLE)?), Path::new(&get(FOLDER_VARIABLE)?)).map(Some)
    }

    /// What [`Self::from_env`] of another process reads.
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        [(JAVA_VARIABLE, self.java.clone().into()), (FOLDER_VARIABLE, self.folder.clone().into())]
    }

    /// Checks that Java is one that Cassandra 5.0 runs on and that the jars are there.
    pub fn open(java: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize().with_context(|| format!("{} is not there", folder.display()))?;
        let jars = jars(&folder.join("lib"))?;
        let agent = jars
            .iter()
            .find(|jar| jar.file_name().is_some_and(|name| name.to_string_lossy().starts_with("jamm-")))
            .with_context(|| format!("{} holds no jamm-*.jar", folder.join("lib").display()))?
            .clone();
        let class_path = env::join_paths(&jars).context("Java cannot read jars from a path with a colon in it")?;
        let java_build = java_build(java)?;
        let runtime = Self { java: java.to_owned(), folder, class_path, agent, java_build };
        runtime.write_settings()?;
        Ok(runtime)
    }

    fn write_settings(&self) -> Result<()> {
        for (name, text) in [
            ("jvm17.options", JVM_OPTIONS),
            ("modules.options", MODULE_OPTIONS),
            ("logback.xml", NODE_LOG),
            ("logback-tools.xml", TOOL_LOG),
        ] {
            write_if_different(&self.folder.join(name), text)?;
        }
        Ok(())
    }

    /// A node without its own settings. `wrapper` is a program that becomes what the arguments behind it say.
    pub(crate) fn node(&self, wrapper: &[&str], archive: Archive<'_>) -> Command {
        let mut command = self.java(wrapper, &["jvm17.options", "modules.options"]);
        command.arg(joined("-javaagent:", &self.agent));
        command.arg(self.archive_option(Program::Node, archive));
        command.arg(joined("-Dlogback.configurationFile=", self.folder.join("logback.xml")));
        command
    }

    /// `nodetool` without its own arguments. `home` is where it keeps its history.
    pub(crate) fn nodetool(&self, home: &Path, archive: Archive<'_>) -> Command {
        let mut command = self.java(&[], &["modules.options"]);
        command.args(["-Xmx96M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:+PerfDisableSharedMem"]);
        // What Java says of archives would stand in the answer.
        command.args(["-Xlog:disable", "-Djava.net.preferIPv4Stack=true"]);
        command.arg(self.archive_option(Program::Nodetool, archive));
        command.arg(joined("-Dlogback.configurationFile=", self.folder.join("logback-tools.xml")));
        for property in ["-Duser.home=", "-Dcassandra.storagedir=", "-Dcassandra.logdir="] {
            command.arg(joined(property, home));
        }
        self.run_class(&mut command, "org.apache.cassandra.tools.NodeTool");
        command
    }

    /// Ends the options of Java.
    pub(crate) fn run_class(&self, command: &mut Command, class: &str) {
        command.arg("-cp").arg(&self.class_path).arg(class);
    }

    fn java(&self, wrapper: &[&str], option_files: &[&str]) -> Command {
        let mut command = match wrapper {
            [] => Command::new(&self.java),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.java);
                command
            }
        };
        // Options of the user's other programs.
        command.env_remove("JAVA_TOOL_OPTIONS").env_remove("JDK_JAVA_OPTIONS").env_remove("CLASSPATH");
        command.args(option_files.iter().map(|file| joined("@", self.folder.join(file))));
        command
    }

    fn archive_option(&self, program: Program, archive: Archive<'_>) -> OsString {
        match archive {
            // Java goes on without an archive that is not there.
            Archive::Use => joined("-XX:SharedArchiveFile=", self.archive(program)),
            Archive::Make(file) => joined("-XX:ArchiveClassesAtExit=", file),
        }
    }

    /// Where the archive of a program is, once it is made: Java reads only its own build's.
    pub(crate) fn archive(&self, program: Program) -> PathBuf {
        let name = match program {
            Program::Node => "node",
            Program::Nodetool => "nodetool",
        };
        self.folder.join(format!("{name}-{}.jsa", self.java_build))
    }
}

/// `before` and a path, as one argument.
pub(crate) fn joined(before: &str, path: impl AsRef<OsStr>) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text
}

/// The jars in an order that is always the same: class archives hold for one class path.
fn jars(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} is not there: run `cargo xtask setup`", folder.display()))?;
    let mut jars = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("jar")) {
            jars.push(path);
        }
    }
    jars.sort();
    Ok(jars)
}

/// The build of Java, such as `17.0.15+6-Debian-1deb12u1`.
fn java_build(java: &Path) -> Result<String> {
    let output = Command::new(java).arg("-version").output();
    let output = output.with_context(|| format!("{} could not be started", java.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let Some(build) = build_in(&text) else {
        bail!("`{} -version` does not name its build: {}", java.display(), text.trim());
    };
    ensure!(build.starts_with("17."), "{} is Java {build}; Cassandra 5.0 is run on Java 17 here", java.display());
    Ok(build)
}

fn build_in(version: &str) -> Option<String> {
    let (_, after) = version.split_once("(build ")?;
    let (build, _) = after.split_once([')', ','])?;
    let name: String = build.chars().filter(|c| c.is_ascii_alphanumeric() || "+-._".contains(*c)).collect();
    (!name.is_empty()).then_some(name)
}

/// Leaves a file alone that says the same already: other programs read it while this one starts.
fn write_if_different(path: &Path, text: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(());
    }
    let folder = path.parent().context("a file is in a folder")?;
    let file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("{}", folder.display()))?;
    fs::write(file.path(), text)?;
    file.persist(path).with_context(|| format!("{} could not be written", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_of_java_is_read_as_a_file_name() {
        let debian = "openjdk version \"17.0.15\" 2025-04-15\n\
            OpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)\n\
            OpenJDK 64-Bit Server VM (build 17.0.15+6-Debian-1deb12u1, mixed mode, sharing)\n";
        assert_eq!(build_in(debian).as_deref(), Some("17.0.15+6-Debian-1deb12u1"));
        assert_eq!(build_in("(build ../x)").as_deref(), Some("..x"));
        assert_eq!(build_in("gij (GNU libgcj) version 4.8"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |java: &str| format!("{:#}", Runtime::open(Path::new(java), folder.path()).unwrap_err());
        assert!(error("java").contains("lib is not there: run `cargo xtask setup`"), "{}", error("java"));
        fs::create_dir(folder.path().join("lib")).unwrap();
        assert!(error("java").ends_with("holds no jamm-*.jar"), "{}", error("java"));
        fs::write(folder.path().join("lib/jamm-1.jar"), "").unwrap();
        assert!(error("/no/such/java").starts_with("/no/such/java could not be started"));
        assert!(error("true").starts_with("`true -version` does not name its build"));
    }
}
