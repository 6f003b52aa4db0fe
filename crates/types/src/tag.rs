//! Domain tags: the first bytes of everything that is hashed or signed. Each is used in one place for one thing.

macro_rules! tags {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: &str = $text;)*
        /// Every tag, in the order of this file.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

tags! {
    /// Network id: SHA-256 over tag and codec(Genesis).
    GENESIS = "lockstep/genesis/v1";
    /// Identifier of a key set's two public points.
    KEY_ID = "lockstep/key/v1";
    /// TDH2: hash of message and associated data.
    TDH2_MSG = "lockstep/tdh2/msg/v1";
    /// TDH2: hedged derivation of K.
    TDH2_K = "lockstep/tdh2/k/v1";
    /// TDH2: the scalar r.
    TDH2_R = "lockstep/tdh2/r/v1";
    /// TDH2: the scalar s.
    TDH2_S = "lockstep/tdh2/s/v1";
    /// TDH2: mask of K.
    TDH2_MASK = "lockstep/tdh2/mask/v1";
    /// TDH2: key of the AEAD.
    TDH2_DEM = "lockstep/tdh2/dem/v1";
    /// TDH2: hash of associated data, c1 and body.
    TDH2_CT = "lockstep/tdh2/ct/v1";
    /// TDH2: the challenge e.
    TDH2_E = "lockstep/tdh2/e/v1";
    /// Coefficients of a batch check.
    BATCH = "lockstep/batch/v1";
    /// Seed of a batch check.
    BATCH_SEED = "lockstep/batch-seed/v1";
    /// Message of the beacon.
    BEACON = "lockstep/beacon/v1";
    /// Rank key of a fee account.
    RANK = "lockstep/rank/v1";
    /// Tie break of two equal bids.
    TIE = "lockstep/tie/v1";
    /// Envelope hash.
    ENVELOPE = "lockstep/envelope/v1";
    /// Bid hash.
    BID = "lockstep/bid/v1";
    /// Body hash.
    BODY = "lockstep/body/v1";
    /// Tail hash.
    TAIL = "lockstep/tail/v1";
    /// Operation hash.
    OPERATION = "lockstep/operation/v1";
    /// Evidence hash.
    EVIDENCE = "lockstep/evidence/v1";
    /// What a change of committee or parameters is made to.
    CHANGE_BASE = "lockstep/change/base/v1";
    /// What a member signs that approves a change of committee or parameters.
    CHANGE_APPROVE = "lockstep/change/approve/v1";
    /// What a member signs that joins by it.
    CHANGE_ACCEPT = "lockstep/change/accept/v1";
    /// Block digest.
    BLOCK = "lockstep/block/v1";
    /// Text of a signed list.
    LIST = "lockstep/list/v1";
    /// Signed header of a share message.
    SHARE = "lockstep/share/v1";
    /// Leaf of a share message's chunk tree.
    SHARE_CHUNK = "lockstep/share-chunk/v1";
    /// Signed header of a combiner's openings.
    OPENINGS = "lockstep/openings/v1";
    /// Where the combiners of a slot begin.
    COMBINER = "lockstep/combiner/v1";
    /// Hash chain over account changes.
    LEDGER = "lockstep/ledger/v1";
    /// Root of mailbox accumulators.
    MAILBOX = "lockstep/mailbox/v1";
    /// Identity of a unit of a tail bundle.
    TAIL_UNIT = "lockstep/tail-unit/v1";
    /// prevrandao of a batch.
    PREVRANDAO = "lockstep/prevrandao/v1";
    /// Order of leaders.
    LEADERS = "lockstep/leaders/v1";
    /// Namespace of simplex votes.
    SIMPLEX = "lockstep/simplex/v1";
    /// Namespace of the committee's transport.
    P2P = "lockstep/p2p/v1";
    /// Namespace of the decryption key ceremony.
    DKG_DECRYPT = "lockstep/dkg/decrypt/v1";
    /// Namespace of the beacon key ceremony.
    DKG_BEACON = "lockstep/dkg/beacon/v1";
    /// What a participant of a key ceremony derives its randomness from.
    DKG_ENTROPY = "lockstep/dkg/entropy/v1";
    /// Digest of a key ceremony's dealer logs.
    DKG_LOGS = "lockstep/dkg/logs/v1";
    /// Name of a ceremony between operators: network, number, who is absent.
    CEREMONY_PLAN = "lockstep/ceremony/plan/v1";
    /// Signed text, and so the id, of a message of a ceremony.
    CEREMONY_MESSAGE = "lockstep/ceremony/message/v1";
    /// What an operator derives its dealing from.
    CEREMONY_ENTROPY = "lockstep/ceremony/entropy/v1";
    /// What a sealed dealing of a ceremony is bound to.
    CEREMONY_SEAL = "lockstep/ceremony/seal/v1";
    /// What operators agree on: messages that count, and the keys that follow.
    CEREMONY_OUTCOME = "lockstep/ceremony/outcome/v1";
    /// Name of a resharing: committees, key set, epoch, attempt.
    RESHARE_PLAN = "lockstep/reshare/plan/v1";
    /// What a dealer of a resharing derives its randomness from.
    RESHARE_ENTROPY = "lockstep/reshare/entropy/v1";
    /// Digest of a resharing's dealer logs.
    RESHARE_LOGS = "lockstep/reshare/logs/v1";
    /// Signed text of a new member's share key in G2.
    RESHARE_SHARE_KEY = "lockstep/reshare/share-key/v1";
    /// Signed text of a message of a handover.
    HANDOVER = "lockstep/handover/v1";
    /// What a sealed dealing is bound to.
    HANDOVER_SEAL = "lockstep/handover/seal/v1";
    /// What a dealer derives the randomness of sealed dealings from.
    HANDOVER_ENTROPY = "lockstep/handover/entropy/v1";
    /// Key that a dealer's saved randomness is sealed under on disk.
    HANDOVER_SAVED = "lockstep/handover/saved/v1";
    /// Checksum of a key file; of a key set's file, also its name in share files.
    KEY_FILE = "lockstep/key-file/v1";
    /// Identity of a rollup's specification.
    ROLLUP_SPEC = "lockstep/rollup-spec/v1";
    /// Version of the rules that a network runs.
    RULES = "lockstep/rules/v1";
    /// A record of the registry, as a leaf.
    REGISTRY = "lockstep/registry/v1";
}

/// DST of the second base Gb (RFC 9380).
pub const GBAR_DST: &[u8] = b"LOCKSTEP-V01-GBAR-BLS12381G1_XMD:SHA-256_SSWU_RO_";
/// DST of the beacon's hash to G2 (RFC 9380).
pub const BEACON_DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_";

#[cfg(test)]
mod tests {
    use super::ALL;
    #[test]
    fn typ_3_tags_are_unique() {
        let unique: std::collections::BTreeSet<_> = ALL.iter().collect();
        assert_eq!(unique.len(), ALL.len());
    }
}
