//! Durable state: one schema, two engines, one interface.
