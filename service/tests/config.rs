//! Layers of configuration and the reporting of mistakes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use rookery_service::config::{ConfigErrors, Mistake, Mistakes, Validate, load_from};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    name: String,
    limits: Switch,
    rest: Rest,
    listen: Option<SocketAddr>,
    trusted: Vec<IpAddr>,
    regions: Vec<Region>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "home".to_owned(),
            limits: Switch::On,
            rest: Rest::default(),
            listen: None,
            trusted: Vec::new(),
            regions: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rest {
    global_per_second: u32,
    burst: u8,
    signing_secret: String,
    tls: bool,
}

impl Default for Rest {
    fn default() -> Self {
        Self { global_per_second: 50, burst: 5, signing_secret: String::new(), tls: false }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    address: SocketAddr,
    weight: u8,
}

impl Validate for Config {
    fn validate(&self, mistakes: &mut Mistakes) {
        mistakes.require(!self.name.is_empty(), "name", "it is empty", "a name");
        mistakes.nested("rest", &self.rest);
    }
}

impl Validate for Rest {
    fn validate(&self, mistakes: &mut Mistakes) {
        let enough = u32::from(self.burst) <= self.global_per_second;
        mistakes.require(enough, "burst", "it is over `global_per_second`", "at most that");
    }
}

struct Given {
    dir: tempfile::TempDir,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    sets: Vec<String>,
}

fn given() -> Given {
    Given { dir: tempfile::tempdir().unwrap(), file: None, environment: Vec::new(), sets: Vec::new() }
}

impl Given {
    fn file(mut self, text: &str) -> Self {
        let path = self.dir.path().join("rookery.toml");
        fs::write(&path, text).unwrap();
        self.file = Some(path);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn set(mut self, set: &str) -> Self {
        self.sets.push(set.to_owned());
        self
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        load_from(self.file.as_deref(), self.environment.clone(), &self.sets)
    }

    /// The mistakes as `path: problem; expected …`, without their sources.
    fn mistakes(&self) -> Vec<String> {
        let errors = self.load().unwrap_err();
        errors.mistakes().iter().map(|mistake| Mistake { source: None, ..mistake.clone() }.to_string()).collect()
    }
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(given().load().unwrap(), Config::default());
    assert_eq!(given().file("").load().unwrap(), Config::default());
}

#[test]
fn later_layers_win_key_by_key() {
    let config = given()
        .file("name = 'file'\n[rest]\nglobal_per_second = 1\nburst = 1\nsigning_secret = 'file'")
        .env("ROOKERY_REST__GLOBAL_PER_SECOND", "20")
        .env("ROOKERY_REST__BURST", "2")
        .set("rest.global_per_second=300")
        .load()
        .unwrap();
    assert_eq!(config.name, "file");
    let rest = Rest { global_per_second: 300, burst: 2, signing_secret: "file".to_owned(), tls: false };
    assert_eq!(config.rest, rest);
}

#[test]
fn text_becomes_what_its_key_wants() {
    let config = given()
        .env("ROOKERY_NAME", "0123")
        .env("ROOKERY_LISTEN", "127.0.0.1:80")
        .set("limits=off")
        .set("rest.tls=true")
        .set("rest.signing_secret={not a table}")
        .set("trusted=[\"10.0.0.1\", \"::1\"]")
        .load()
        .unwrap();
    assert_eq!(config.name, "0123");
    assert_eq!(config.listen, Some("127.0.0.1:80".parse().unwrap()));
    assert_eq!(config.limits, Switch::Off);
    assert!(config.rest.tls);
    assert_eq!(config.rest.signing_secret, "{not a table}");
    assert_eq!(config.trusted, ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    for text in ["true", "1.5", "{a=1}", "[1]", "", "a=b"] {
        assert_eq!(given().set(&format!("rest.signing_secret={text}")).load().unwrap().rest.signing_secret, text);
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let config = given()
        .env("ROOKERY_ADMIN_TOKEN", "secret")
        .env("ROOKERY_SERVICE_HOST", "10.0.0.1")
        .env("ROOKERY_PORT", "tcp://10.0.0.1:80")
        .env("ROOKERY_PORT_80_TCP_ADDR", "10.0.0.1")
        .env("PATH", "/bin")
        .load();
    assert_eq!(config.unwrap(), Config::default());
    // But what may be a slip is not passed over.
    assert_eq!(given().env("ROOKERY_REST_PORT", "80").mistakes().len(), 1);
}

#[test]
fn every_mistake_of_every_layer_is_reported() {
    let given = given()
        .file("nmae = 'x'\nlimits = 'sometimes'\ntrusted = ['10.0.0.1', 'x', 'y']\n[rest]\nburst = 'many'\ntls = 1")
        .env("ROOKERY_REST__GLOBAL_PER_SECOND", "-1")
        .env("ROOKERY_NO__SUCH", "1")
        .set("rest.signing_secret")
        .set(".x=1")
        .set("name=");
    let errors = given.load().unwrap_err();
    let shown = errors.to_string();
    let paths: Vec<_> = errors.mistakes().iter().map(|mistake| mistake.path.as_str()).collect();
    for path in ["nmae", "limits", "trusted.1", "trusted.2", "rest.burst", "rest.tls", "rest.global_per_second", "no"] {
        assert_eq!(paths.iter().filter(|known| **known == path).count(), 1, "{path} in {shown}");
    }
    assert!(shown.starts_with("11 mistakes"), "{shown}");
    // Two sets that are none, and the empty name, which only validation finds.
    assert!(shown.contains("(in --set rest.signing_secret)") && shown.contains("(in --set .x)"), "{shown}");
    assert!(paths.contains(&"name"), "{shown}");
    assert!(shown.contains("the environment variable ROOKERY_REST__GLOBAL_PER_SECOND"), "{shown}");
    assert!(shown.contains("rookery.toml"), "{shown}");
}

#[test]
fn mistakes_say_what_was_expected() {
    assert_eq!(
        given().file("nmae = 'x'").mistakes(),
        ["nmae: there is no such key; expected `name`, perhaps, of `name`, `limits`, `rest`, `listen`, `trusted`, \
          `regions`"]
    );
    assert_eq!(
        given().file("limits = 'sometimes'").mistakes(),
        ["limits: `sometimes` is not known; expected one of `on`, `off`"]
    );
    assert_eq!(
        given().file("rest.burst = 'many'").mistakes(),
        ["rest.burst: found the text \"many\"; expected a whole number from 0 to 255"]
    );
    assert_eq!(
        given().file("rest.burst = 300").mistakes(),
        ["rest.burst: found the number 300, which is not allowed; expected a whole number from 0 to 255"]
    );
    assert_eq!(given().file("rest = 3").mistakes(), ["rest: found the number 3; expected a table"]);
}

#[test]
fn keys_without_default_are_missed_one_by_one() {
    let mistakes = given().file("[[regions]]\n[[regions]]\naddress = 'x'\nwieght = 1").mistakes();
    let expected = [
        "regions.0.address: it is missing; expected a value, as there is no default",
        "regions.0.weight: it is missing; expected a value, as there is no default",
        "regions.1.address: found the text \"x\": invalid socket address syntax",
        "regions.1.wieght: there is no such key; expected `weight`, perhaps, of `address`, `weight`",
        "regions.1.weight: it is missing; expected a value, as there is no default",
    ];
    assert_eq!(mistakes, expected);
}

#[test]
fn validation_reaches_across_fields_and_names_the_path() {
    let mistakes = given().set("rest.burst=60").mistakes();
    assert_eq!(mistakes, ["rest.burst: it is over `global_per_second`; expected at most that"]);
    // A default that stands in for a mistake is not blamed on its own key.
    assert_eq!(given().set("rest.burst=many").set("rest.global_per_second=1").mistakes().len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut missing = given();
    missing.file = Some(missing.dir.path().join("missing.toml"));
    let shown = missing.load().unwrap_err().to_string();
    assert!(shown.contains("missing.toml") && shown.contains("cannot read"), "{shown}");
}

#[test]
fn a_file_that_is_not_toml_is_named_with_line_and_column() {
    let shown = given().file("name = 'x'\nsigning_secret = hunter2\n").set("nmae=1").load().unwrap_err().to_string();
    assert!(shown.contains("rookery.toml:2:"), "{shown}");
    assert!(!shown.contains("hunter2"), "the line may hold a secret: {shown}");
    assert!(shown.contains("nmae"), "the other layers are looked at all the same: {shown}");
}

#[test]
fn secrets_are_not_shown() {
    for given in [given().file("rest.signing_secret = ['hunter2']"), given().set("rest.signing_secret_=hunter2")] {
        let shown = given.load().unwrap_err().to_string();
        assert!(shown.contains("signing_secret") && !shown.contains("hunter2"), "{shown}");
    }
    #[derive(Debug, Deserialize)]
    struct Pin {
        #[serde(rename = "token")]
        _token: Vec<u8>,
    }
    impl Validate for Pin {
        fn validate(&self, _: &mut Mistakes) {}
    }
    let error = load_from::<Pin>(None, [], &["token=hunter2".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("token: found text") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_json_file_says_the_same_as_a_toml_file() {
    let toml = given()
        .file("name = 'x'\ntrusted = ['::1']\n[rest]\nburst = 1\n[[regions]]\naddress = '127.0.0.1:80'\nweight = 1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rookery.json");
    fs::write(
        &path,
        r#"{"name":"x","trusted":["::1"],"rest":{"burst":1},"regions":[{"address":"127.0.0.1:80","weight":1}]}"#,
    )
    .unwrap();
    assert_eq!(load_from::<Config>(Some(&path), [], &[]).unwrap(), toml.load().unwrap());
    fs::write(&path, "{\"name\": \"x\",\n \"rest\": {\"burst\": }}").unwrap();
    let errors = load_from::<Config>(Some(&path), [], &[]).unwrap_err();
    assert_eq!(errors.mistakes()[0].problem, "not JSON: expected value");
    assert!(errors.mistakes()[0].source.as_ref().unwrap().ends_with("rookery.json:2:20"), "{errors}");
}
