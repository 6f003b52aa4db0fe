//! Takes shares as a combiner and never says what they open, nor what opened a slot.
use super::{Adversary, Sent};
use crate::common::{net::Net, wire};
use bytes::Bytes;
use consensus::Channel;
use types::MemberId;

pub(crate) struct SilentCombiner;

impl Adversary for SilentCombiner {
    fn wire(&self, _: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let opens = channel == Channel::Fetch.number()
            && matches!(wire::fetch(&bytes), wire::Fetch::Openings(_) | wire::Fetch::Opening(_));
        if opens { Vec::new() } else { vec![(to.to_vec(), bytes)] }
    }
}
