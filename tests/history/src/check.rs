//! Whether pages show what they must and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use rookery_model::{ChannelId, MessageId};

use crate::operation::{Outcome, Read, Window, Write};
use crate::report::{Violation, ViolationKind};

/// The writes of each message of a channel, in the order in which they began.
type Messages<'a> = BTreeMap<MessageId, Vec<&'a Write>>;

/// What is wrong with these reads.
pub fn check_messages(writes: &[Write], reads: &[Read]) -> Vec<Violation> {
    let mut channels: HashMap<ChannelId, Messages<'_>> = HashMap::new();
    for write in writes {
        channels.entry(write.channel_id).or_default().entry(write.message_id).or_default().push(write);
    }
    let none = Messages::new();
    let mut violations = Vec::new();
    for read in reads {
        let Some(page) = &read.page else { continue };
        let messages = channels.get(&read.channel_id).unwrap_or(&none);
        violations.extend(order(read, page));
        violations.extend(window(read, page));
        violations.extend(contents(read, page, messages));
    }
    violations
}

fn violation(kind: ViolationKind, read: &Read, id: MessageId, operations: Vec<String>) -> Violation {
    Violation { kind, subject: format!("channel {}, message {id}", read.channel_id), operations }
}

fn order(read: &Read, page: &[(MessageId, String)]) -> Option<Violation> {
    let wrong = page.windows(2).find(|pair| pair[0].0 <= pair[1].0)?;
    let ids: Vec<_> = page.iter().map(|(id, _)| id.to_string()).collect();
    Some(violation(ViolationKind::OutOfOrder, read, wrong[1].0, vec![read.to_string(), ids.join(", ")]))
}

fn window(read: &Read, page: &[(MessageId, String)]) -> Option<Violation> {
    let inside = |id: MessageId| match read.window {
        Window::Latest => true,
        Window::Before(end) => id < end,
        Window::After(begin) => id > begin,
        Window::One(one) => id == one,
    };
    let (id, _) = page.iter().enumerate().find(|(index, (id, _))| *index >= read.limit || !inside(*id))?.1;
    Some(violation(ViolationKind::OutsideWindow, read, *id, vec![read.to_string()]))
}

/// The ids about which a page says something: whether each is there, and as what.
fn covered(read: &Read, page: &[(MessageId, String)]) -> Option<RangeInclusive<MessageId>> {
    let (lowest, highest) = (MessageId::new(0), MessageId::new(u64::MAX));
    let below = |id: MessageId| id.get().checked_sub(1).map(MessageId::new);
    let above = |id: MessageId| id.get().checked_add(1).map(MessageId::new);
    // A full page ends somewhere; a shorter one reaches to the end of what there is. A page of none says nothing.
    let full = page.len() >= read.limit;
    if read.limit == 0 {
        return None;
    }
    let ids = page.iter().map(|(id, _)| *id);
    let oldest = if full { ids.clone().min()? } else { lowest };
    match read.window {
        Window::Latest => Some(oldest..=highest),
        Window::Before(end) => Some(oldest..=below(end)?),
        Window::After(begin) => Some(above(begin)?..=if full { ids.max()? } else { highest }),
        Window::One(id) => Some(id..=id),
    }
}

fn contents(read: &Read, page: &[(MessageId, String)], messages: &Messages<'_>) -> Vec<Violation> {
    let shown: HashMap<MessageId, &str> = page.iter().map(|(id, content)| (*id, content.as_str())).collect();
    let invented = shown.iter().filter(|(id, _)| !messages.contains_key(id));
    let mut violations: Vec<_> = invented.map(|(id, content)| wrong(read, *id, Some(content), &[])).collect();
    let Some(covered) = covered(read, page).filter(|range| range.start() <= range.end()) else { return violations };
    for (id, writes) in messages.range(covered) {
        let content = shown.get(id).copied();
        if !may_show(read, content, writes) {
            violations.push(wrong(read, *id, content, writes));
        }
    }
    violations
}

/// Whether a write was certainly applied after another one.
fn follows(later: &Write, earlier: &Write) -> bool {
    match later.client == earlier.client {
        true => earlier.span.began < later.span.began,
        false => earlier.span.is_before(later.span),
    }
}

/// Whether a write was acknowledged before a read began.
fn binds(write: &Write, read: &Read) -> bool {
    write.outcome == Outcome::Ok && write.span.is_before(read.span)
}

fn may_apply(write: &Write, read: &Read) -> bool {
    write.outcome != Outcome::Failed && read.span.ended.is_none_or(|ended| write.span.began < ended)
}

/// Whether a message can show like this: some write of it, or none, that no acknowledged write came after.
fn may_show(read: &Read, content: Option<&str>, writes: &[&Write]) -> bool {
    let untouched = content.is_none() && !writes.iter().any(|write| binds(write, read));
    untouched
        || writes.iter().any(|write| {
            write.content.as_deref() == content
                && may_apply(write, read)
                && !writes.iter().any(|later| binds(later, read) && follows(later, write))
        })
}

/// Names what is wrong with a message that cannot show like this.
fn wrong(read: &Read, id: MessageId, content: Option<&str>, writes: &[&Write]) -> Violation {
    let source: Vec<_> = writes.iter().filter(|write| write.content.as_deref() == content).collect();
    let last = writes.iter().rev().find(|write| binds(write, read));
    let kind = if content.is_some() && source.is_empty() {
        ViolationKind::Fabricated
    } else if content.is_some() && source.iter().all(|write| write.outcome == Outcome::Failed) {
        ViolationKind::FailedWriteVisible
    } else if content.is_some() && !source.iter().any(|write| may_apply(write, read)) {
        ViolationKind::Fabricated
    } else {
        match last {
            Some(last) if last.content.is_none() => ViolationKind::ResurrectedDelete,
            Some(last) if last.client == read.client => ViolationKind::StaleAfterOwnWrite,
            _ if content.is_none() => ViolationKind::LostWrite,
            _ => ViolationKind::StaleRead,
        }
    };
    let mut operations: Vec<_> = writes.iter().map(ToString::to_string).collect();
    operations.push(match content {
        Some(content) => format!("{read}, the message as {content:?}"),
        None => format!("{read}, the message not among them"),
    });
    violation(kind, read, id, operations)
}
