//! Which clients a region is nearest to.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The clients that are sent to a region's points of presence first. A network wins over a country, a country over a
/// continent; clients that no region names go to the default home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// Networks of clients, in CIDR notation. Of several that hold an address the smallest counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// Countries by ISO 3166-1; need `geodns.database`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// Continents; need `geodns.database`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub continents: Vec<Continent>,
}

/// A country: two capital letters of ISO 3166-1, with the continent that GeoIP databases put it in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country {
    continent: Continent,
    code: String,
}

/// Text that is no country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a continent and a country such as EU/DE")]
pub struct CountryError;

impl Country {
    /// The continent.
    pub fn continent(&self) -> Continent {
        self.continent
    }

    /// The two letters.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl TryFrom<String> for Country {
    type Error = CountryError;

    fn try_from(text: String) -> Result<Self, CountryError> {
        let (continent, code) = text.split_once('/').ok_or(CountryError)?;
        let continent = *Continent::ALL.iter().find(|it| it.code() == continent).ok_or(CountryError)?;
        let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_code { Ok(Self { continent, code: code.to_owned() }) } else { Err(CountryError) }
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.continent.code(), self.code)
    }
}

/// A continent, as GeoIP databases have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Continent {
    /// Africa.
    Af,
    /// Antarctica.
    An,
    /// Asia.
    As,
    /// Europe.
    Eu,
    /// North America.
    Na,
    /// Oceania.
    Oc,
    /// South America.
    Sa,
}

impl Continent {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Af, Self::An, Self::As, Self::Eu, Self::Na, Self::Oc, Self::Sa];

    /// Its two letters.
    pub fn code(self) -> &'static str {
        match self {
            Self::Af => "AF",
            Self::An => "AN",
            Self::As => "AS",
            Self::Eu => "EU",
            Self::Na => "NA",
            Self::Oc => "OC",
            Self::Sa => "SA",
        }
    }
}
