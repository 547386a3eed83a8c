//! Benchmarks, each beside its floor in the same run.
