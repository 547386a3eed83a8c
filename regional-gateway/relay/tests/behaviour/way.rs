//! Two ends and a way between them, on virtual time.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rookery_relay::{Event, Link, RelayConfig};

/// What happens to a packet: number, and whether it is from the first end.
pub type Fate = Box<dyn FnMut(u64, bool) -> bool>;

/// Two ends, a and b.
pub struct Way {
    pub a: Link,
    pub b: Link,
    pub now_ms: u64,
    pub delay_ms: u64,
    /// Whether a packet arrives.
    pub passes: Fate,
    pub packets: u64,
    pub largest: usize,
    on_way: VecDeque<(u64, bool, Bytes)>,
    pub config: Arc<RelayConfig>,
}

pub fn link(config: &Arc<RelayConfig>, name: &str, incarnation: u64, now_ms: u64) -> Link {
    Link::new(Arc::clone(config), name, incarnation, now_ms).unwrap()
}

impl Way {
    pub fn new(config: RelayConfig, delay_ms: u64) -> Self {
        let config = Arc::new(config);
        Self {
            a: link(&config, "a", 10, 0),
            b: link(&config, "b", 20, 0),
            now_ms: 0,
            delay_ms,
            passes: Box::new(|_, _| true),
            packets: 0,
            largest: 0,
            on_way: VecDeque::new(),
            config,
        }
    }

    /// Ends that know each other and have said so.
    pub fn connected(config: RelayConfig, delay_ms: u64) -> Self {
        let mut way = Self::new(config, delay_ms);
        way.run(5 * delay_ms + 200);
        assert_eq!(way.a.poll_event(), Some(Event::Up { incarnation: 20 }));
        assert_eq!(way.b.poll_event(), Some(Event::Up { incarnation: 10 }));
        way.packets = 0;
        way
    }

    /// What both ends have to send goes on its way.
    pub fn flush(&mut self) {
        for from_a in [true, false] {
            let link = if from_a { &mut self.a } else { &mut self.b };
            while let Some(packet) = link.poll_transmit(self.now_ms) {
                self.packets += 1;
                self.largest = self.largest.max(packet.len());
                if (self.passes)(self.packets, from_a) {
                    self.on_way.push_back((self.now_ms + self.delay_ms, from_a, packet));
                }
            }
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, for_ms: u64) {
        let end_ms = self.now_ms + for_ms;
        loop {
            self.flush();
            let arrival_ms = self.on_way.front().map(|(at_ms, ..)| *at_ms);
            let times = [arrival_ms, self.a.poll_timeout(), self.b.poll_timeout()];
            let next_ms = times.into_iter().flatten().min().unwrap_or(end_ms);
            if next_ms > end_ms {
                self.now_ms = end_ms;
                return;
            }
            self.now_ms = self.now_ms.max(next_ms);
            while self.on_way.front().is_some_and(|(at_ms, ..)| *at_ms <= self.now_ms) {
                let Some((_, from_a, packet)) = self.on_way.pop_front() else { break };
                let link = if from_a { &mut self.b } else { &mut self.a };
                link.handle_packet(self.now_ms, packet).ok();
            }
            for link in [&mut self.a, &mut self.b] {
                if link.poll_timeout().is_some_and(|at_ms| at_ms <= self.now_ms) {
                    link.handle_timeout(self.now_ms);
                }
            }
        }
    }

    pub fn send(&mut self, frame: impl Into<Bytes>) {
        self.a.send(self.now_ms, frame.into()).unwrap();
    }

    /// The frames that b has, and nothing else.
    pub fn frames(&mut self) -> Vec<Bytes> {
        events(&mut self.b)
            .into_iter()
            .map(|event| match event {
                Event::Frame(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

pub fn events(link: &mut Link) -> Vec<Event> {
    std::iter::from_fn(|| link.poll_event()).collect()
}
