//! Calls between edge and region.
