//! Configuration, telemetry, health, drain: the things every process does, done once.
