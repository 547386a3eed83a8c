//! The ready file: where everything answers.

use serde::Serialize;

/// Written once every listener answers; what does not exist is null.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ready {
    pub api: Option<String>,
    pub gateway: Option<String>,
    pub webtransport: Option<String>,
    pub cert_sha256: Option<String>,
    pub voice: Option<String>,
    pub ca_file: Option<String>,
    pub web: Option<String>,
    pub operator: Option<String>,
    /// Where a region takes calls from points of presence; of `rookery region` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    pub pid: u32,
}
