//! The gateway's codes, intents and dispatched events.

mod close_code;
pub mod event;
mod intents;
mod opcode;

pub use close_code::CloseCode;
pub use event::Event;
pub use intents::Intents;
pub use opcode::Opcode;
