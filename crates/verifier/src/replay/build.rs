//! Checks 8 and 15: the body that counts is the winner's, and the tail is its signer's, for this slot, and all there is.
use super::{Replay, section::Bodied};
use alloc::{format, string::String, vec::Vec};
use auction_rules::Selection;
use crypto::{build, ids, merkle};
use execution::prepare_tail;
use types::{
    Body, BuildHeader, Hash, Leaf, SetRef, Slot, Tail, codec, limits,
    reason::{Finding, Why},
};

/// Bodies or tails that the lists name: seq and hash.
pub(super) type Named = Vec<(u8, Hash)>;

/// What a listing leaves: a leaf's hash and why it does not count.
type Left = Vec<(Hash, Why)>;

impl Replay {
    /// BODY.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        let Ok(body) = codec::decode::<Body>(bytes, limits::BODY_BYTES_MAX) else {
            return self.find(Finding::EntryMalformed, "a body");
        };
        self.section.body = Some(Bodied { hash: ids::body_hash(&body), body });
    }

    /// TAIL of the oldest opened slot that has no EXEC; it runs after that slot's units.
    pub(super) fn tail(&mut self, slot: Slot, bytes: &[u8]) {
        let Some(reveal) = self.pending.first().filter(|p| p.slot == slot).map(|p| p.reveal) else {
            return self.find(Finding::SectionOrder, "TAIL of a slot that has none due");
        };
        if self.exec_read || self.tail.is_some() {
            return self.find(Finding::SectionOrder, "TAIL after another TAIL or an EXEC");
        }
        let Ok(tail) = codec::decode::<Tail>(bytes, limits::TAIL_BYTES_MAX) else {
            return self.find(Finding::EntryMalformed, "a tail");
        };
        let hash = ids::tail_hash(&tail);
        let admitted = self.judged.admit_tail(&self.now.params, slot, &reveal, &tail);
        let signer = match admitted {
            Ok(signer) if self.is_ours(&tail.header) => signer,
            Ok(_) => return self.accuse_slot(slot, Finding::TailInvalid, &format!("{hash}: head")),
            Err(reason) => return self.accuse_slot(slot, Finding::TailInvalid, &format!("{hash}: {reason}")),
        };
        if self.checks.signatures && build::tail_signer(&tail) != Some(signer) {
            return self.accuse_slot(slot, Finding::TailInvalid, &format!("{hash}: signature"));
        }
        let unit = |(at, bundle): (u32, &types::Bundle)| {
            prepare_tail(ids::tail_unit_hash(slot, at, bundle), bundle, &self.registry)
        };
        let units: Vec<_> = (0..).zip(&tail.bundles).map(unit).collect();
        self.executor.tail(&units);
        let result = self.executor.close();
        if let Some(pending) = self.pending.first_mut() {
            pending.result = Some(result);
        }
        self.tail = Some((tail.header.seq, hash));
        self.tally(15, units.len());
    }

    fn is_ours(&self, header: &BuildHeader) -> bool {
        header.version == BuildHeader::VERSION && header.network == self.anchor.id
    }

    /// Leaves of the body of this section and the tail before it.
    pub(super) fn objects(&self) -> Vec<Leaf> {
        let body = self.section.body.as_ref().map(|b| Leaf::Body { seq: b.body.header.seq, hash: b.hash });
        let tail = self.tail.map(|(seq, hash)| Leaf::Tail { seq, hash });
        body.into_iter().chain(tail).collect()
    }

    /// Root over them.
    pub(super) fn objects_ref(&self) -> SetRef {
        let leaves: Vec<Vec<u8>> = self.objects().iter().map(Leaf::bytes).collect();
        merkle::set_ref(&leaves)
    }

    /// The tail that counts is the one before this section.
    pub(super) fn count_tails(&self, named: &Named) -> Result<Left, (Finding, String)> {
        let known = |seq: u8, hash: &Hash| (self.tail == Some((seq, *hash))).then_some(true);
        let omitted = |hash| (Finding::TailOmitted, format!("{hash} is listed, and not in the log"));
        let counted = auction_rules::count_objects(named, known).map_err(omitted)?;
        match self.tail {
            Some((_, hash)) if counted.counting != Some(hash) => {
                Err((Finding::TailInvalid, format!("{hash} may not count")))
            }
            _ => Ok(counted.left),
        }
    }

    /// Of a slot that cannot hold all candidates the listed body that counts is in the section, and no other.
    pub(super) fn count_bodies(&self, named: &Named, alone: &Selection) -> Result<Left, (Finding, String)> {
        let own = self.section.body.as_ref();
        if alone.is_whole() {
            return match own {
                Some(b) => Err((Finding::BodyWrong, format!("{} of a slot with room", b.hash))),
                None => Ok(named.iter().map(|(_, hash)| (*hash, Why::Unused)).collect()),
            };
        }
        let known = |seq: u8, hash: &Hash| {
            own.filter(|b| (b.body.header.seq, b.hash) == (seq, *hash)).map(|b| self.admits_body(&b.body))
        };
        let omitted = |hash| (Finding::BodyWrong, format!("{hash} is listed, and not in the section"));
        let counted = auction_rules::count_objects(named, known).map_err(omitted)?;
        match own {
            Some(b) if counted.counting != Some(b.hash) => {
                Err((Finding::BodyWrong, format!("{} may not count", b.hash)))
            }
            _ => Ok(counted.left),
        }
    }

    fn admits_body(&self, body: &Body) -> bool {
        let admitted = self.judged.admit_body(&self.now.params, &body.header, body.units.len());
        let signed = |signer| !self.checks.signatures || build::body_signer(body) == Some(signer);
        self.is_ours(&body.header) && admitted.is_ok_and(signed)
    }
}
