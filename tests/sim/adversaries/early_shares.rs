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
use tlog::checkpoint;
use types::{Hash, Leaf, ListSet, ShareHeader, ShareMessage, ShareMode, Signature, codec};

pub(crate) struct EarlyShares {
    pub(crate) me: usize,
}

/// What f + 1 lists name: the set, while there is room for all.
fn listed(net: &Net, set: &ListSet) -> Vec<Hash> {
    let bit = |bits: &[u8], at: usize| bits[at / 8] >> (at % 8) & 1 == 1;
    let lists = |at: usize| set.members.iter().filter(|m| bit(&m.bits, at)).count();
    let named = set.leaves.iter().enumerate().filter(|(at, _)| lists(*at) > net.f);
    let units = named.filter(|(_, leaf)| matches!(leaf, Leaf::Envelope { .. }));
    let mut hashes: Vec<Hash> = units.map(|(_, leaf)| Leaf::hash(leaf)).collect();
    hashes.sort_unstable();
    hashes
}

impl Adversary for EarlyShares {
    #[expect(clippy::disallowed_methods, reason = "what no honest member does")]
    fn checks(&self, net: &'static Net, block: &[u8]) -> Vec<(Channel, Vec<u8>)> {
        let Ok(opened) = sequencer::open(block) else { return Vec::new() };
        let (header, lists) = (opened.block.header, opened.block.lists);
        let set = lists.map_or(Vec::new(), |lists| listed(net, &lists));
        if merkle::set_ref(&set) != header.set {
            return Vec::new();
        }
        let sealed = |hash| Some(mempool::Sealed::Envelope(crate::world::sealed(net, hash)?.into()));
        let units: Vec<_> = set.iter().filter_map(sealed).collect();
        let requests: Vec<_> = units.iter().map(|sealed| mempool::AdmitRequest { sealed, after: None }).collect();
        let admitted = mempool::admit_batch(net.keys.encryption_key(), &net.id, &requests, [1; 32]);
        let secrets = &net.secrets[self.me];
        let held = set.iter().zip(admitted).map(|(hash, item)| secrets.decrypt.share(*hash, &item.unwrap())).collect();
        // the test knows all keys: a member alone has no such token, and would need none
        let proof = net.voters.finalize(vec![header.clone()]);
        let hashes = SetHashes { set: set.clone(), bids: Vec::new(), bid_hashes: Vec::new() };
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
