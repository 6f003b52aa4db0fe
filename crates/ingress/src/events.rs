//! Events to subscribers: encoded once, kept for a while, never queued per subscriber.
use crate::frame::frame;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};
use tokio::sync::broadcast;
use types::{
    Slot, codec, limits,
    wire::{Event, answer},
};

/// One event, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    slot: Slot,
    bytes: bytes::Bytes,
}

impl Frame {
    pub(crate) fn bytes(&self) -> bytes::Bytes {
        self.bytes.clone()
    }
    pub(crate) fn is_from(&self, slot: Slot) -> bool {
        self.slot >= slot
    }
}

#[derive(Debug, Default)]
struct Kept {
    frames: VecDeque<Frame>,
    bytes: usize,
    last: Slot,
    gone: Vec<(Slot, u64)>,
}

/// The events of the last slots, and where the next ones go.
#[derive(Debug)]
pub(crate) struct Hub {
    kept: Mutex<Kept>,
    live: broadcast::Sender<Frame>,
    frames_max: usize,
    bytes_max: usize,
}

/// What a new subscription gets: how many of its events are gone at least, what is kept, what comes.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) gone: u64,
    pub(crate) kept: Vec<Frame>,
    pub(crate) live: broadcast::Receiver<Frame>,
}

pub(crate) fn gap(dropped: u64) -> bytes::Bytes {
    frame(answer::EVENT, &codec::encode(&Event::Gap { dropped })).into()
}

impl Hub {
    pub(crate) fn new(frames_max: usize, bytes_max: usize) -> Self {
        let (live, _) = broadcast::channel(frames_max.max(1));
        Self { kept: Mutex::default(), live, frames_max, bytes_max }
    }

    pub(crate) fn push(&self, event: &Event) {
        let payload = codec::encode(event);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match event {
            Event::Final { slot, .. }
            | Event::Opened { slot, .. }
            | Event::Auction { slot, .. }
            | Event::Tail { slot, .. }
            | Event::Executed { slot, .. } => *slot,
            Event::Gap { .. } => kept.last,
        };
        kept.last = kept.last.max(slot);
        let bytes =
            if payload.len() > limits::EVENT_BYTES_MAX { gap(1) } else { frame(answer::EVENT, &payload).into() };
        let frame = Frame { slot, bytes };
        kept.bytes = kept.bytes.saturating_add(frame.bytes.len());
        kept.frames.push_back(frame.clone());
        while kept.frames.len() > self.frames_max || kept.bytes > self.bytes_max {
            let Some(old) = kept.frames.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(old.bytes.len());
            match kept.gone.last_mut() {
                Some((slot, n)) if *slot >= old.slot => *n = n.saturating_add(1),
                _ => kept.gone.push((old.slot, 1)),
            }
            let excess = kept.gone.len().saturating_sub(self.frames_max);
            kept.gone.drain(..excess);
        }
        // Nobody listening is no error.
        self.live.send(frame).ok();
    }

    /// The events of `from` and later ones; slot 0: from now on.
    pub(crate) fn feed(&self, from: Slot) -> Feed {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        if from == Slot(0) {
            return Feed { gone: 0, kept: Vec::new(), live };
        }
        let gone =
            kept.gone.iter().filter(|(slot, _)| *slot >= from).fold(0, |sum: u64, (_, n)| sum.saturating_add(*n));
        let frames = kept.frames.iter().filter(|frame| frame.is_from(from)).cloned().collect();
        Feed { gone, kept: frames, live }
    }
}

#[cfg(test)]
mod tests {
    // Goal: ING-3 for events: what is kept is bounded, and what is gone is counted.
    use super::*;

    fn event(slot: u64) -> Event {
        Event::Executed { slot: Slot(slot), outcomes: vec![0] }
    }

    #[test]
    fn a_feed_starts_at_its_slot() {
        let hub = Hub::new(16, 1 << 20);
        for slot in 1..=5 {
            hub.push(&event(slot));
        }
        let feed = hub.feed(Slot(4));
        assert_eq!((feed.gone, feed.kept.len()), (0, 2));
        assert_eq!(hub.feed(Slot(0)).kept.len(), 0);
        let mut feed = hub.feed(Slot(9));
        hub.push(&event(9));
        assert!(feed.live.try_recv().unwrap().is_from(Slot(9)));
    }

    #[test]
    fn ing_3_old_events_go_and_are_counted() {
        let hub = Hub::new(4, 1 << 20);
        for slot in 1..=10 {
            hub.push(&event(slot));
        }
        let feed = hub.feed(Slot(3));
        assert_eq!((feed.gone, feed.kept.len()), (4, 4), "3 to 6 are gone, 7 to 10 are here");
        for slot in 11..=1_000 {
            hub.push(&event(slot));
        }
        let kept = hub.kept.lock().unwrap();
        assert!(kept.frames.len() <= 4 && kept.gone.len() <= 4);
    }

    #[test]
    fn ing_3_bytes_are_bounded_too() {
        let hub = Hub::new(1_000, 10_000);
        for slot in 1..=100 {
            hub.push(&Event::Executed { slot: Slot(slot), outcomes: vec![0; 1_000] });
        }
        assert!(hub.kept.lock().unwrap().bytes <= 10_000);
    }
}
