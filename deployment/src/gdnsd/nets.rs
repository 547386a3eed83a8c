//! Which networks are sent where; read again by gdnsd whenever it changes.

use std::fmt::Write as _;

use super::{head, list};
use crate::Deployment;

pub(super) fn text(deployment: &Deployment) -> String {
    let mut text = head(deployment, '#');
    for region in deployment.regions() {
        let order = list(deployment, region);
        for network in &region.placement.networks {
            let _ = writeln!(text, "{network} => {order}");
        }
    }
    text
}
