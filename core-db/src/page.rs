//! A page of messages that many readers share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rookery_model::message::MessageRow;

/// A page of messages, newest first; cloning it copies no row.
#[derive(Clone, Default)]
pub struct MessagePage {
    rows: Arc<Vec<MessageRow>>,
    len: usize,
}

impl MessagePage {
    /// The newest of these messages, sharing the rows.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Self {
        Self { rows: self.rows.clone(), len: self.len.min(limit) }
    }
}

impl Deref for MessagePage {
    type Target = [MessageRow];

    fn deref(&self) -> &[MessageRow] {
        self.rows.get(..self.len).unwrap_or_default()
    }
}

impl From<Vec<MessageRow>> for MessagePage {
    fn from(rows: Vec<MessageRow>) -> Self {
        Self { len: rows.len(), rows: Arc::new(rows) }
    }
}

impl<'a> IntoIterator for &'a MessagePage {
    type Item = &'a MessageRow;
    type IntoIter = std::slice::Iter<'a, MessageRow>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for MessagePage {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl fmt::Debug for MessagePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
