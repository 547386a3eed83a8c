//! Why a term could not be read or written.

use std::fmt;

/// What was wrong with a term.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the term ends early")]
    Truncated,
    #[error("bytes follow the term")]
    TrailingBytes,
    #[error("not version 131 of the term format")]
    Version,
    #[error("compressed terms are not accepted")]
    Compressed,
    #[error("terms with tag {0} are not accepted")]
    Tag(u8),
    #[error("nested too deeply")]
    Depth,
    #[error("text is not UTF-8")]
    NotUtf8,
    #[error("an integer does not fit into 64 bits")]
    IntegerTooLarge,
    #[error("a float is not a number in text form")]
    Float,
    #[error("a list does not end in the empty list")]
    ImproperList,
    #[error("not a map")]
    NotAMap,
    #[error("a length does not fit into its field")]
    TooLong,
    #[error("{0}")]
    Message(String),
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
