//! A bounded queue to the task of one session, which takes next to no memory while it is empty.
//!
//! Tens of thousands of them are empty at any time, where a channel that keeps room for its next messages takes more than all
//! else that a session's task needs.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::mail::Mail;

/// Why mail does not go into a box, with the mail.
pub(crate) enum Undelivered {
    Full(Mail),
    /// Nobody reads it any more.
    Closed(Mail),
}

struct State {
    mail: VecDeque<Mail>,
    capacity: usize,
    is_closed: bool,
    /// Whoever reads and found nothing.
    reader: Option<Waker>,
    /// Those who wait for room.
    writers: Vec<Waker>,
}

/// Where mail is put in.
#[derive(Clone)]
pub(crate) struct MailSender(Arc<Mutex<State>>);

/// Where it is taken out; what is left is thrown away with it.
pub(crate) struct Mailbox(Arc<Mutex<State>>);

/// A mailbox for so many at once, at least one.
pub(crate) fn mailbox(capacity: usize) -> (MailSender, Mailbox) {
    let (mail, writers) = (VecDeque::new(), Vec::new());
    let state = State { mail, capacity: capacity.max(1), is_closed: false, reader: None, writers };
    let state = Arc::new(Mutex::new(state));
    (MailSender(Arc::clone(&state)), Mailbox(state))
}

impl MailSender {
    /// Puts mail in, if there is room.
    pub(crate) fn try_send(&self, mail: Mail) -> Result<(), Undelivered> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(Undelivered::Closed(mail));
        }
        if state.mail.len() >= state.capacity {
            return Err(Undelivered::Full(mail));
        }
        state.mail.push_back(mail);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// Puts mail in once there is room; it comes back if nobody reads any more.
    pub(crate) async fn send(&self, mail: Mail) -> Result<(), Mail> {
        let mut waiting = Some(mail);
        poll_fn(|cx| {
            // Polled after its end it has nothing to send.
            let Some(mail) = waiting.take() else { return Poll::Ready(Ok(())) };
            match self.try_send(mail) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(Undelivered::Closed(mail)) => Poll::Ready(Err(mail)),
                Err(Undelivered::Full(mail)) => {
                    waiting = Some(mail);
                    let mut state = self.0.lock();
                    if state.mail.len() < state.capacity || state.is_closed {
                        // Since we looked.
                        cx.waker().wake_by_ref();
                    } else if !state.writers.iter().any(|writer| writer.will_wake(cx.waker())) {
                        state.writers.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Mailbox {
    /// The next mail, if there is any.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<Mail> {
        match self.poll_recv(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(mail) => Some(mail),
            Poll::Pending => None,
        }
    }

    /// The next mail; waits for it.
    pub(crate) async fn recv(&mut self) -> Mail {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.0.lock();
        let Some(mail) = state.mail.pop_front() else {
            if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                state.reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        if state.mail.is_empty() {
            state.mail = VecDeque::new();
        }
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.into_iter().for_each(Waker::wake);
        Poll::Ready(mail)
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let (mail, writers) = (std::mem::take(&mut state.mail), std::mem::take(&mut state.writers));
        drop(state);
        // Outside of the lock: what is thrown away may have a sender of this box in it.
        drop(mail);
        writers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Notice;
    use rookery_model::voice::VoiceCloseCode;
    use rookery_model::voice::node::VoiceLeaveReason;

    fn close(code: u16) -> Mail {
        Mail::Close { code: VoiceCloseCode::Disconnected, reason: VoiceLeaveReason::Protocol { code } }
    }

    fn code(mail: &Mail) -> u16 {
        match mail {
            Mail::Close { reason: VoiceLeaveReason::Protocol { code }, .. } => *code,
            _ => panic!("another mail"),
        }
    }

    #[tokio::test]
    async fn mail_comes_in_order_and_only_so_much_at_once() {
        let (sender, mut mailbox) = mailbox(2);
        for n in 0..2 {
            assert!(sender.try_send(close(n)).is_ok());
        }
        assert!(matches!(sender.try_send(close(2)), Err(Undelivered::Full(mail)) if code(&mail) == 2));
        assert_eq!(code(&mailbox.recv().await), 0);
        assert!(sender.try_send(close(3)).is_ok());
        assert_eq!([code(&mailbox.recv().await), code(&mailbox.recv().await)], [1, 3]);
        assert_eq!(mailbox.0.lock().mail.capacity(), 0, "nothing is kept for what does not come");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_waits_for_mail_or_for_room_is_woken() {
        const EACH: u16 = 2_000;
        let (sender, mut mailbox) = mailbox(3);
        let senders: Vec<_> = (0..3_u16)
            .map(|who| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for n in 0..EACH {
                        assert!(sender.send(close(who * EACH + n)).await.is_ok());
                    }
                })
            })
            .collect();
        let mut next = [0; 3];
        for _ in 0..3 * EACH {
            let code = code(&mailbox.recv().await);
            let who = usize::from(code / EACH);
            assert_eq!(code % EACH, next[who]);
            next[who] += 1;
        }
        for sender in senders {
            sender.await.unwrap();
        }
    }

    #[tokio::test]
    async fn mail_for_nobody_comes_back() {
        let (sender, mailbox) = mailbox(1);
        assert!(sender.try_send(Mail::Events(Arc::new([] as [Notice; 0]))).is_ok());
        let waiting = sender.clone();
        let waiting = tokio::spawn(async move { waiting.send(close(1)).await });
        tokio::task::yield_now().await;
        drop(mailbox);
        assert_eq!(waiting.await.unwrap().map_err(|mail| code(&mail)), Err(1));
        assert!(matches!(sender.try_send(close(2)), Err(Undelivered::Closed(mail)) if code(&mail) == 2));
    }
}
