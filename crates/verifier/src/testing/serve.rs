//! What a member serves: checkpoints, tiles, proofs of finality; and an auditor that is fed with them.
use super::World;
use crate::{Auditor, Checks, HeadError, Need, Report};
use alloc::{format, vec::Vec};
use crypto::merkle;
use tlog::{
    Tree, checkpoint,
    note::Note,
    tiles::{Level, TILE_WIDTH, Tile, encode_bundle},
};
use types::{BlockHeader, Epoch, FinalityProof, Hash, Head, MemberId};

impl World {
    /// The checkpoint of the last close head, as it is published.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        self.checkpoint_of(&self.state.close, &[0, 1, 2])
    }

    /// A checkpoint of any head by these members of the committee that signs heads of this size; the first one's log key
    /// signs too.
    ///
    /// # Panics
    /// If there is no such member.
    #[must_use]
    pub fn checkpoint_of(&self, head: &Head, cosigners: &[u16]) -> Vec<u8> {
        let slot = self.heads.iter().find(|(_, close)| close.size >= head.size).map(|(slot, _)| *slot);
        let schedule = self.anchor.network.genesis.params.schedule();
        self.checkpoint_by(schedule.epoch_of(slot.unwrap_or(self.state.last.height)), head, cosigners)
    }

    /// A checkpoint of any head by these members of the committee of an epoch.
    ///
    /// # Panics
    /// If there is no such member.
    #[must_use]
    pub fn checkpoint_by(&self, epoch: Epoch, head: &Head, cosigners: &[u16]) -> Vec<u8> {
        let team = self.team(epoch);
        let policy = team.policy(self.anchor.policy.origin());
        let keys = |member: &u16| team.keys(MemberId(*member));
        let mut lines = Vec::new();
        if let Some(first) = cosigners.first() {
            let log = policy.logs().get(usize::from(*first)).expect("a member");
            lines.push(log.line(&checkpoint::sign(policy.origin(), head, &keys(first).log)));
        }
        for member in cosigners {
            let stamp = checkpoint::cosign(policy.origin(), head, 1_800_000_000, &keys(member).cosigner);
            lines.push(policy.cosigner(MemberId(*member)).expect("a member").stamp_line(&stamp));
        }
        let text = checkpoint::text(policy.origin(), head);
        format!("{}", Note::new(text, lines).expect("a note")).into_bytes()
    }

    /// A member's signature over a block's header, by every member: a proof that it is final.
    #[must_use]
    pub fn finalize(&self, headers: Vec<BlockHeader>) -> FinalityProof {
        let slot = headers.last().map_or(self.state.last.height, |header| header.height);
        self.team_at(slot).voters.finalize(headers)
    }

    /// Audits the log as it is served, under the last close head.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn audit(&self) -> Report {
        self.audit_of(&self.entries, &self.checkpoint(), Checks::ALL)
    }

    /// Audits other entries, signed by a quorum.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn audit_entries(&self, entries: &[Vec<u8>]) -> Report {
        let mut tree = Tree::new();
        entries.iter().for_each(|entry| {
            tree.append(entry);
        });
        self.audit_of(entries, &self.checkpoint_of(&tree.head(), &[0, 1, 2]), Checks::ALL)
    }

    /// Audits entries under a note.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn audit_of(&self, entries: &[Vec<u8>], note: &[u8], checks: Checks) -> Report {
        let mut auditor = Auditor::new(&self.anchor, checks).expect("the demo rollups execute");
        give_head(&mut auditor, note);
        self.feed(&mut auditor, entries);
        auditor.finish()
    }

    /// Audits the log with receipts beside it.
    ///
    /// # Panics
    /// If one is no receipt.
    #[must_use]
    pub fn audit_with(&self, receipts: &[Vec<u8>]) -> Report {
        let mut auditor = Auditor::new(&self.anchor, Checks::ALL).expect("the demo rollups execute");
        receipts.iter().for_each(|receipt| auditor.receipt(receipt).expect("a receipt"));
        give_head(&mut auditor, &self.checkpoint());
        self.feed(&mut auditor, &self.entries);
        auditor.finish()
    }

    /// Gives an auditor what it needs, from these entries; stops where they have nothing.
    pub fn feed(&self, auditor: &mut Auditor, entries: &[Vec<u8>]) {
        loop {
            match auditor.need() {
                Need::Tile { tile, .. } => match tile_of(entries, &tile) {
                    Some(bytes) => auditor.feed_tile(&tile, &bytes),
                    None => return,
                },
                Need::Finality(slot) => auditor.feed_finality(slot, self.finality(slot).as_deref()),
                Need::Done => return,
            }
        }
    }
}

/// As the command does: who else than the committee of genesis has signed it, the log must say.
fn give_head(auditor: &mut Auditor, note: &[u8]) {
    if let Err(HeadError::NoLog | HeadError::Quorum { .. }) = auditor.head(note) {
        let _refused = auditor.head_of_later(note);
    }
}

/// The bytes of a tile over these entries; `None` when they do not reach it.
///
/// # Panics
/// Never: entries are short.
#[must_use]
pub fn tile_of(entries: &[Vec<u8>], tile: &Tile) -> Option<Vec<u8>> {
    let start = usize::try_from(tile.index()).ok()?.checked_mul(usize::from(TILE_WIDTH))?;
    let end = start.checked_add(usize::from(tile.width()))?;
    match tile.level() {
        Level::Entries => encode_bundle(entries.get(start..end)?).ok(),
        Level::Hashes(level) => {
            let span = 1usize.checked_shl(u32::from(level).checked_mul(8)?)?;
            let subtree = |place: usize| {
                let first = place.checked_mul(span)?;
                entries.get(first..first.checked_add(span)?).map(merkle::root)
            };
            let hashes: Option<Vec<Hash>> = (start..end).map(subtree).collect();
            Some(hashes?.iter().flat_map(|hash| hash.0).collect())
        }
    }
}
