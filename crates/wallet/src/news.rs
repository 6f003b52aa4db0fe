//! Which events are believed: those that f+1 members tell alike. Pure.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{Hash, MemberId, codec, wire::Event};

/// Events of a member that are remembered: what it tells of some 250 slots. More cannot be made to be held.
const REMEMBERED: usize = 1_024;

/// The last of many.
#[derive(Debug, Default)]
struct Last {
    queue: VecDeque<Hash>,
    set: BTreeSet<Hash>,
}

impl Last {
    fn insert(&mut self, hash: Hash) -> bool {
        if !self.set.insert(hash) {
            return false;
        }
        self.queue.push_back(hash);
        if self.queue.len() > REMEMBERED
            && let Some(oldest) = self.queue.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

/// Counts who tells what.
#[derive(Debug)]
pub(crate) struct News {
    /// f + 1.
    need: usize,
    heard: BTreeMap<MemberId, Last>,
    believed: Last,
}

impl News {
    pub(crate) const fn new(need: usize) -> Self {
        let believed = Last { queue: VecDeque::new(), set: BTreeSet::new() };
        Self { need, heard: BTreeMap::new(), believed }
    }

    /// Takes in an event of a member; true once for each that f+1 members have told.
    pub(crate) fn hear(&mut self, member: MemberId, event: &Event) -> bool {
        if matches!(event, Event::Gap { .. }) {
            return false;
        }
        let hash = crypto::hash::sha256(&[&codec::encode(event)]);
        if !self.heard.entry(member).or_default().insert(hash) {
            return false;
        }
        let tellers = self.heard.values().filter(|last| last.set.contains(&hash)).count();
        tellers >= self.need && self.believed.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    // Goal: WAL-3 for events: f members make nothing believed, an event is believed once, and memory is bounded.
    use super::*;
    use types::{Address, Amount, Slot};

    fn auction(slot: u64, price: u128) -> Event {
        let sold = Some((Address([1; 20]), Amount::new(price).unwrap()));
        Event::Auction { slot: Slot(slot), for_slot: Slot(slot + 1), bids: 2, sold }
    }

    #[test]
    fn wal_3_an_event_is_believed_once_when_two_members_tell_it_alike() {
        let mut news = News::new(2);
        assert!(!news.hear(MemberId(0), &auction(5, 7)));
        assert!(!news.hear(MemberId(0), &auction(5, 7)), "the same member twice");
        assert!(!news.hear(MemberId(1), &auction(5, 8)), "another price");
        assert!(news.hear(MemberId(2), &auction(5, 7)));
        assert!(!news.hear(MemberId(3), &auction(5, 7)), "believed already");
        assert!(!news.hear(MemberId(0), &Event::Gap { dropped: 1 }));
        assert!(!news.hear(MemberId(1), &Event::Gap { dropped: 1 }), "a gap is one member's own");
    }

    #[test]
    fn a_babbling_member_fills_no_memory_and_hides_nothing() {
        let mut news = News::new(2);
        for slot in 0..10_000 {
            assert!(!news.hear(MemberId(0), &auction(slot, 1)));
        }
        let held = news.heard.values().map(|last| last.set.len()).sum::<usize>();
        assert_eq!(held, REMEMBERED);
        assert!(!news.hear(MemberId(1), &auction(5, 7)));
        assert!(news.hear(MemberId(2), &auction(5, 7)));
    }
}
