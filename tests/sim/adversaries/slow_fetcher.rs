//! Hears no relayed envelope and only every third answer, so it has to ask for everything, late; and answers nobody.
use super::{Adversary, Sent};
use crate::common::{net::Net, wire};
use bytes::Bytes;
use consensus::Channel;
use std::sync::atomic::{AtomicU64, Ordering};
use types::MemberId;

#[derive(Default)]
pub(crate) struct SlowFetcher {
    answers: AtomicU64,
}

impl Adversary for SlowFetcher {
    fn hears(&self, channel: Channel, _: MemberId, _: &[u8]) -> bool {
        match channel {
            Channel::Items => false,
            Channel::Fetch => self.answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(3),
            Channel::Shares | Channel::Lists | Channel::Dkg => true,
        }
    }

    fn wire(&self, _: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let answers = channel == Channel::Fetch.number()
            && matches!(wire::fetch(&bytes), wire::Fetch::Items(_) | wire::Fetch::Heads(_) | wire::Fetch::Opening(_));
        if answers { Vec::new() } else { vec![(to.to_vec(), bytes)] }
    }
}
