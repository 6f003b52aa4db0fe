//! Sends its shares at the sight of a proposal, before anything is final.
use super::Adversary;
use crate::common::{
    net::{Net, id},
    wire,
};
use consensus::Channel;
use crypto::{
    beacon,
    finality::{self, SetHashes},
    merkle,
    tdh2::HeldShares,
};
use std::collections::BTreeMap;
use tlog::checkpoint;
use types::{Address, Hash, Leaf, ListSet, ShareHeader, ShareMessage, ShareMode, Signature, codec};

pub(crate) struct EarlyShares {
    pub(crate) me: usize,
}

/// What f + 1 lists name: the set, while there is room for all; and of each bidder the bid of the highest seq.
fn listed(net: &Net, set: &ListSet) -> SetHashes {
    let bit = |bits: &[u8], at: usize| bits[at / 8] >> (at % 8) & 1 == 1;
    let lists = |at: usize| set.members.iter().filter(|m| bit(&m.bits, at)).count();
    let (mut units, mut bids) = (Vec::new(), BTreeMap::<Address, (u8, Vec<Hash>)>::new());
    for (_, leaf) in set.leaves.iter().enumerate().filter(|(at, _)| lists(*at) > net.f) {
        match leaf {
            Leaf::Envelope { hash, .. } => units.push(*hash),
            Leaf::Bid { bidder, seq, hash } => {
                let best = bids.entry(*bidder).or_default();
                if *seq > best.0 {
                    *best = (*seq, Vec::new());
                }
                if *seq == best.0 {
                    best.1.push(*hash);
                }
            }
            _ => {}
        }
    }
    units.sort_unstable();
    // whoever has two of one seq has none
    bids.retain(|_, (_, hashes)| hashes.len() == 1);
    let leaf = |(bidder, (seq, hashes)): (&Address, &(u8, Vec<Hash>))| {
        [bidder.as_bytes(), &[*seq][..], hashes[0].as_bytes()].concat()
    };
    SetHashes {
        set: units,
        bids: bids.iter().map(leaf).collect(),
        bid_hashes: bids.values().map(|(_, hashes)| hashes[0]).collect(),
    }
}

impl Adversary for EarlyShares {
    #[expect(clippy::disallowed_methods, reason = "what no honest member does")]
    fn checks(&self, net: &'static Net, block: &[u8]) -> Vec<(Channel, Vec<u8>)> {
        let Ok(opened) = sequencer::open(block) else { return Vec::new() };
        let (header, lists) = (opened.block.header, opened.block.lists);
        let Some(hashes) = lists.map(|lists| listed(net, &lists)) else { return Vec::new() };
        if merkle::set_ref(&hashes.set) != header.set || merkle::set_ref(&hashes.bids) != header.bids {
            return Vec::new();
        }
        let envelope = |hash| Some(mempool::Sealed::Envelope(crate::world::sealed(net, hash)?.into()));
        let bid = |hash| Some(mempool::Sealed::Bid(crate::market::sealed(net, hash)?.into()));
        let envelopes = hashes.set.iter().filter_map(envelope);
        let items: Vec<_> = hashes.bid_hashes.iter().filter_map(bid).chain(envelopes).collect();
        let requests: Vec<_> = items.iter().map(|sealed| mempool::AdmitRequest { sealed, after: None }).collect();
        let admitted = mempool::admit_batch(net.keys.encryption_key(), &net.id, &requests, [1; 32]);
        let secrets = &net.secrets[self.me];
        let names = hashes.bid_hashes.iter().chain(&hashes.set);
        let held = names.zip(admitted).map(|(hash, item)| secrets.decrypt.share(*hash, &item.unwrap())).collect();
        // the test knows all keys: a member alone has no such token, and would need none
        let proof = net.voters.finalize(vec![header.clone()]);
        let token = finality::verify(&net.voters.committee(net.id, header.epoch), &proof, &hashes).unwrap();
        let points = HeldShares::collect(held).release(&token).unwrap();
        let Some(head) = header.reveal else { return Vec::new() };
        let bare = ShareHeader {
            version: 1,
            network: net.id,
            epoch: header.epoch,
            slot: header.height,
            digest: opened.digest,
            member: id(self.me),
            mode: ShareMode::Direct,
            items: 0,
            beacon: beacon::sign(&secrets.beacon, &token),
            head,
            cosig: checkpoint::cosign(net.policy.origin(), &head, 1_800_000_000, &net.signer(self.me).cosigner),
            root: Hash::ZERO,
        };
        let bare = ShareMessage { header: bare, sig: Signature([0; 64]), chunks: Vec::new() };
        let message = wire::forge_share(net, self.me, &bare, |_, all| all.extend(points));
        vec![(Channel::Shares, codec::encode(&message))]
    }
}
