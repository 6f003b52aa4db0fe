//! Floods the others with envelopes that are none: bytes, wrong signatures, wrong proofs, and what is long included.
use super::Adversary;
use crate::common::{
    net::{Inside, Net, Order},
    wire,
};
use consensus::Channel;
use std::sync::atomic::{AtomicU64, Ordering};
use types::codec;

#[derive(Default)]
pub(crate) struct ItemSpammer {
    rounds: AtomicU64,
}

impl Adversary for ItemSpammer {
    fn checks(&self, net: &'static Net, _: &[u8]) -> Vec<(Channel, Vec<u8>)> {
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let (_, old) = crate::world::envelope(net, 1, 0, false);
        let mut envelopes = vec![vec![7; 600], codec::encode(&old)];
        for at in 0..8 {
            let mut unsigned = old.clone();
            unsigned.ciphertext[300 + at] ^= u8::try_from(round % 255).unwrap() + 1;
            envelopes.push(codec::encode(&unsigned));
        }
        // properly signed, so that only the proof is wrong
        let order = Order::new(100 + usize::try_from(round % 100).unwrap(), 0, Inside::Junk);
        let mut unproven = old.ciphertext.clone();
        unproven[200] ^= 1;
        envelopes.push(codec::encode(&net.sign(net.header(&order), &order, unproven).1));
        let items = codec::encode(&wire::Items { envelopes, ..wire::Items::default() });
        let mut spam: Vec<_> = (0..6).map(|_| (Channel::Items, items.clone())).collect();
        let garbage = [Channel::Items, Channel::Lists, Channel::Shares, Channel::Fetch];
        spam.extend(garbage.map(|channel| (channel, vec![0xa5; 2_000])));
        spam
    }
}
