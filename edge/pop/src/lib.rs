//! The point of presence: HTTP in front, the WebAssembly component inside, regions behind.
