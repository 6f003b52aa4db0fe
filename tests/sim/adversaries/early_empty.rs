//! Proposes an empty block at once whenever it leads.
use super::Adversary;
use crate::common::net::{Net, id};
use consensus::At;
use types::{Block, Epoch, codec};

pub(crate) struct EarlyEmpty {
    pub(crate) me: usize,
}

impl Adversary for EarlyEmpty {
    fn builds(&self, net: &'static Net, parent: &[u8], at: At) -> Option<Vec<u8>> {
        let parent = sequencer::open(parent).unwrap();
        let mut block = Block::genesis(net.id);
        block.header.epoch = Epoch(at.epoch);
        block.header.height = parent.block.header.height.next();
        block.header.view = at.view;
        block.header.time_ms = parent.block.header.time_ms.next();
        block.header.proposer = id(self.me);
        block.header.parent = parent.digest;
        Some(codec::encode(&block))
    }
}
