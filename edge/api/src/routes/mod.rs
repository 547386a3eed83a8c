//! The routes: constant tables, one a first segment of the path, and a file a route where it is more than a line.

mod applications;
mod auth;
mod channels;
mod gateway;
mod guilds;
mod input;
mod invites;
mod oauth2;
mod operator;
mod route;
mod stage_instances;
mod users;
mod voice;

pub use input::Input;
pub use route::{Method, Route, Shape};

/// Tables by the first segment. Inside a table literals stand before parameters.
pub const AREAS: [(&str, &[Route]); 11] = [
    ("channels", channels::ROUTES),
    ("guilds", guilds::ROUTES),
    ("users", users::ROUTES),
    ("gateway", gateway::ROUTES),
    ("invites", invites::ROUTES),
    ("auth", auth::ROUTES),
    ("applications", applications::ROUTES),
    ("oauth2", oauth2::ROUTES),
    ("voice", voice::ROUTES),
    ("stage-instances", stage_instances::ROUTES),
    ("operator", operator::ROUTES),
];

/// A route as documentation and tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    pub method: &'static str,
    /// From after the version on, parameters as `{name}`.
    pub path: String,
    /// The status of success with a body; an empty answer is 204.
    pub status: u16,
    pub needs_token: bool,
}

/// All routes.
pub fn routes() -> Vec<RouteInfo> {
    let all = AREAS.iter().flat_map(|(area, routes)| routes.iter().map(move |route| (area, route)));
    all.map(|(area, route)| RouteInfo {
        method: route.method.name(),
        path: format!("/{area}{}", route.pattern),
        status: route.status(),
        needs_token: route.access == crate::auth::Access::Token,
    })
    .collect()
}
