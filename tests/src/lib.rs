//! Acceptance tests against real processes and unmodified client libraries.
