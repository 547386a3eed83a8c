//! Runs a case and judges the answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::case::{Case, Chop, Event, Frame, Grade, Side, Step};
use crate::peer::{Heard, Peer};

/// Longer than any case takes on a busy machine; one that takes so long has failed.
const WITHIN: Duration = Duration::from_secs(30);

/// A case that is run.
struct Talk {
    peer: Peer,
    events: Vec<Event>,
    /// Who sent the first close frame.
    closed_by: Option<Side>,
    /// The code in the server's, if that came and had one.
    server_close: Option<Option<u16>>,
    ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    InOrder,
    Reset,
    Wrong(&'static str),
}

/// How the suite judges what the server at this address answers to a case; the mistake, if it fails.
pub async fn grade(case: &Case, address: SocketAddr) -> Result<Grade, String> {
    let (peer, _) = Peer::connect(address, "").await;
    let mut talk = Talk { peer, events: Vec::new(), closed_by: None, server_close: None, ending: None };
    let ran = tokio::time::timeout(WITHIN, talk.run(case)).await;
    if ran.is_err() {
        return Err(format!("no end in time; {:?} came", talk.events));
    }
    talk.judge(case)
}

impl Talk {
    async fn run(&mut self, case: &Case) {
        for step in &case.steps {
            if !self.step(step).await {
                break;
            }
        }
        self.peer.flush().await;
        if case.end.by == Side::Peer {
            while self.is_open() && self.events.len() < case.wanted.len() {
                self.hear().await;
            }
            if self.is_open() {
                self.close(close_body(case.end.codes[0])).await;
                self.peer.flush().await;
            }
        }
        while self.ending.is_none() {
            self.hear().await;
        }
    }

    /// Does a step; whether there is sense in the next.
    async fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Send(frame, chop) => self.peer.send(frame, *chop).await,
            Step::Close(body) => self.close(body.clone()).await,
            Step::Begin(body_bytes, body) => {
                self.peer.begin(*body_bytes).await;
                self.peer.part(body).await;
            }
            Step::Part(body) => self.peer.part(body).await,
            Step::Hear(count) => {
                self.peer.flush().await;
                while self.is_open() && self.events.len() < *count {
                    self.hear().await;
                }
            }
            Step::StaysOpen(letter, span) => {
                self.peer.flush().await;
                if tokio::time::timeout(*span, self.hear()).await.is_err() {
                    self.events.push(Event::StayedOpen(*letter));
                }
                return self.is_open();
            }
        }
        true
    }

    async fn close(&mut self, body: Bytes) {
        self.closed_by = self.closed_by.or(Some(Side::Peer));
        self.peer.send(&Frame::new(8, body), Chop::Joined).await;
    }

    async fn hear(&mut self) {
        match self.peer.hear().await {
            Heard::Event(event) => self.events.push(event),
            Heard::Close(_) if self.server_close.is_some() => self.ending = Some(Ending::Wrong("a second close frame")),
            Heard::Close(code) => {
                self.server_close = Some(code);
                if self.closed_by.is_none() {
                    self.closed_by = Some(Side::Server);
                    let answer = Frame::new(8, code.map(close_body).unwrap_or_default());
                    self.peer.send(&answer, Chop::Alone).await;
                }
            }
            Heard::End => self.ending = Some(Ending::InOrder),
            Heard::Reset => self.ending = Some(Ending::Reset),
            Heard::Wrong(what) => self.ending = Some(Ending::Wrong(what)),
        }
    }

    fn is_open(&self) -> bool {
        self.closed_by.is_none() && self.ending.is_none()
    }

    fn judge(&self, case: &Case) -> Result<Grade, String> {
        if let Some(Ending::Wrong(what)) = self.ending {
            return Err(what.to_owned());
        }
        if self.closed_by != Some(case.end.by) {
            let by = self.closed_by.map_or("nobody".to_owned(), |by| format!("{by:?}"));
            return Err(format!("{by} closed, with {:?}", self.server_close));
        }
        let grade = if self.events == case.wanted {
            Grade::Ok
        } else if case.tolerated.as_ref() == Some(&self.events) {
            Grade::NonStrict
        } else {
            return Err(format!("{:?} came, not {:?}", self.events, case.wanted));
        };
        match self.server_close.flatten() {
            Some(code) if case.end.codes.contains(&code) => {}
            code => return Err(format!("closed with {code:?}, not with one of {:?}", case.end.codes)),
        }
        if case.end.is_clean && self.ending != Some(Ending::InOrder) {
            return Err(format!("ended by {:?}", self.ending));
        }
        Ok(if case.ours == Grade::Informational { case.ours } else { grade })
    }
}

fn close_body(code: u16) -> Bytes {
    Bytes::copy_from_slice(&code.to_be_bytes())
}
