//! Records what clients of a store did and saw, and says whether a right store could have answered so.
//!
//! A test gives every task that uses the store a [`Client`], notes each operation before it is submitted and its outcome
//! after, and calls [`History::check`] at the end:
//!
//! ```
//! use rookery_model::{ChannelId, MessageId};
//! use rookery_test_history::{Client, History, Window};
//!
//! let history = History::new();
//! let (writer, reader) = (Client(1), Client(2));
//! let (channel, message) = (ChannelId::new(5), MessageId::new(100));
//! let put = history.put(writer, channel, message, "hello");
//! // … the store acknowledges it …
//! put.ok();
//! let read = history.read(reader, channel, Window::Latest, 50);
//! // … the store answers with an empty page …
//! read.page(Vec::<(MessageId, String)>::new());
//! let report = history.check().unwrap_err();
//! assert!(report.to_string().contains("acknowledged write lost"));
//! ```
//!
//! What is checked is what `rookery_core_db::Engine` promises, and no more:
//! - A page is newest first, has no message twice, none from outside its window and not more than were asked for.
//! - A read sees every write that was acknowledged before it began, its own client's as well as others'; what a later
//!   acknowledged write replaced or deleted does not come back.
//! - A read shows only what somebody wrote, and nothing of a write that certainly failed.
//! - A unique key has one holder: at most one claim wins, and those that lose are told the same holder.
//!
//! A write of unknown outcome, or one whose client died, may show or not, at any time, until a later acknowledged write
//! of the same message. The order of the writes of one client is that in which they were noted; of two clients' writes,
//! that one is later which began when the other had ended.

mod check;
mod claims;
mod operation;
mod recorder;
mod report;

pub use operation::{Answer, Claim, Client, Outcome, Read, Span, Window, Write};
pub use recorder::{History, PendingClaim, PendingPost, PendingRead, PendingWrite};
pub use report::{Report, Summary, Violation, ViolationKind};
