//! A real gdnsd on a loopback address, points of presence that are as healthy as the test says, and questions as
//! resolvers of several places ask them.

pub mod country_database;
mod gdnsd;
mod pop;

pub use gdnsd::{Gdnsd, check, until};
pub use pop::{Pops, Says};

/// Set where the tests that need gdnsd are left out.
pub const SKIP_VARIABLE: &str = "ROOKERY_SKIP_INFRA";
