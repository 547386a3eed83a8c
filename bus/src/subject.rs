//! Where a message goes.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The subject of one node, of all nodes of a region, or of what is said about placement, to all nodes or to one:
/// `rookery.<deployment>.node.<region>.<node>`, `rookery.<deployment>.region.<region>`, `rookery.<deployment>.placement` or
/// `rookery.<deployment>.placement.<region>.<node>`; of voice: `rookery.<deployment>.voice.<region>`, and below that
/// `node.<node>` and `controller.<node>`.
///
/// Its parts are NATS tokens of letters, digits, `-` and `_`, so that no name reaches into another's subjects.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(async_nats::Subject);

/// A name that cannot be part of a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {name:?}: 1 to 64 characters of A-Z, a-z, 0-9, - and _")]
pub struct SubjectError {
    /// `deployment`, `region` or `node`.
    pub part: &'static str,
    /// The name, cut where it is long.
    pub name: String,
}

/// Characters of a name.
const TOKEN_MAX: usize = 64;

impl Subject {
    /// One node.
    ///
    /// # Errors
    /// A name does not fit.
    pub fn node(deployment: &str, region: &str, node: &str) -> Result<Self, SubjectError> {
        let (deployment, region) = (token("deployment", deployment)?, token("region", region)?);
        Ok(Self(format!("rookery.{deployment}.node.{region}.{}", token("node", node)?).into()))
    }

    /// Every node of a region.
    ///
    /// # Errors
    /// A name does not fit.
    pub fn region(deployment: &str, region: &str) -> Result<Self, SubjectError> {
        let deployment = token("deployment", deployment)?;
        Ok(Self(format!("rookery.{deployment}.region.{}", token("region", region)?).into()))
    }

    /// What is said to every node about placement.
    ///
    /// # Errors
    /// The name does not fit.
    pub fn placement(deployment: &str) -> Result<Self, SubjectError> {
        Ok(Self(format!("rookery.{}.placement", token("deployment", deployment)?).into()))
    }

    /// What is said to one node about placement.
    ///
    /// # Errors
    /// A name does not fit.
    pub fn placement_of(deployment: &str, region: &str, node: &str) -> Result<Self, SubjectError> {
        let (deployment, region) = (token("deployment", deployment)?, token("region", region)?);
        Ok(Self(format!("rookery.{deployment}.placement.{region}.{}", token("node", node)?).into()))
    }

    /// What voice nodes say of themselves to the nodes of their region.
    ///
    /// # Errors
    /// A name does not fit.
    pub fn voice_beacons(deployment: &str, region: &str) -> Result<Self, SubjectError> {
        let deployment = token("deployment", deployment)?;
        Ok(Self(format!("rookery.{deployment}.voice.{}", token("region", region)?).into()))
    }

    /// What is said to a voice node.
    ///
    /// # Errors
    /// A name does not fit.
    pub fn voice_node(deployment: &str, region: &str, node: &str) -> Result<Self, SubjectError> {
        let (deployment, region) = (token("deployment", deployment)?, token("region", region)?);
        Ok(Self(format!("rookery.{deployment}.voice.{region}.node.{}", token("node", node)?).into()))
    }

    /// What voice nodes say to a node of their region.
    ///
    /// # Errors
    /// A name does not fit.
    pub fn voice_controller(deployment: &str, region: &str, node: &str) -> Result<Self, SubjectError> {
        let (deployment, region) = (token("deployment", deployment)?, token("region", region)?);
        Ok(Self(format!("rookery.{deployment}.voice.{region}.controller.{}", token("node", node)?).into()))
    }

    /// As NATS has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn nats(&self) -> async_nats::Subject {
        self.0.clone()
    }
}

/// Whether a name can be part of a subject.
pub(crate) fn is_token(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=TOKEN_MAX).contains(&name.len()) && name.bytes().all(fits)
}

fn token<'a>(part: &'static str, name: &'a str) -> Result<&'a str, SubjectError> {
    if is_token(name) {
        return Ok(name);
    }
    Err(SubjectError { part, name: name.chars().take(TOKEN_MAX).collect() })
}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_their_documented_form() {
        assert_eq!(Subject::node("prod", "eu", "eu-1").unwrap().as_str(), "rookery.prod.node.eu.eu-1");
        assert_eq!(Subject::region("prod", "eu_west").unwrap().as_str(), "rookery.prod.region.eu_west");
        assert_eq!(Subject::placement("prod").unwrap().as_str(), "rookery.prod.placement");
        let of_node = Subject::placement_of("prod", "eu", "eu-1").unwrap();
        assert_eq!(of_node.as_str(), "rookery.prod.placement.eu.eu-1");
    }

    #[test]
    fn no_name_reaches_into_another_subject() {
        for name in ["", "a.b", "*", ">", "a b", "a\tb", "ä", "a\0", &"x".repeat(65)] {
            let error = Subject::node("prod", "eu", name).unwrap_err();
            assert_eq!(error.part, "node");
            assert!(error.name.len() <= 64);
            assert_eq!(Subject::region("prod", name).unwrap_err().part, "region");
            assert_eq!(Subject::region(name, "eu").unwrap_err().part, "deployment");
        }
        assert!(Subject::node("prod", "eu", &"x".repeat(64)).is_ok());
    }
}
