//! Evidence: whether a piece of it proves what it says, from public keys and parameters alone (log.md section 8).
//!
//! ```text
//!  two statements --same member and place, both signed, in contradiction--> Proved
//!  one statement  --signed, breaks a rule by itself------------------------> Proved
//! ```
//!
//! An honest member's statements never prove anything, whoever picks them and whatever else is put beside them: all that
//! the culprit did not sign is bound by a hash that it signed, or is the signature of a quorum. A statement beside itself
//! is none, and the two stand in one order, so that a contradiction has one form but for the bytes of signatures.
use crate::{
    beacon, bid, build,
    combiners::Combiners,
    ed25519,
    finality::{self, Committee, FinalityError, VoteKind, vote_message},
    hash::{t256, tagged},
    ids::{block_digest, hash_envelope, list_digest},
    keys::KeySet,
    merkle, tdh2,
};
use alloc::{string::String, vec::Vec};
use types::{
    Accused, Address, Bid, BidHeader, BuildHeader, BuilderDouble, Epoch, Evidence, FinalityProof, G1Bytes, Hash, Leaf,
    ListText, MemberId, MemberRecord, Object, Opening, OpeningFault, OpeningHeader, Params, Rank, Receipt,
    ReceiptError, ShareFault, ShareHeader, ShareMode, Signature, SignedBuild, SignedList, SignedShare, SizeClass, Slot,
    Vote, Voted, codec, limits, reason::Finding, tag,
};

/// What evidence is held against: EPOCH says all of it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Network id.
    pub network: Hash,
    /// Epoch.
    pub epoch: Epoch,
    /// Its first slot: a list names no epoch, and the caps and keys of another one may differ.
    pub first_slot: Slot,
    /// Its last slot.
    pub last_slot: Slot,
    /// How many members may be faulty.
    pub f: u16,
    /// The committee, by index.
    pub members: &'a [MemberRecord],
    /// Caps of lists.
    pub params: &'a Params,
    /// Public keys of shares.
    pub keys: &'a KeySet,
}

/// Where the culprit stepped out of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a slot.
    Slot(Slot),
    /// In a view of consensus.
    View(u64),
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "slot {slot}"),
            Self::View(view) => write!(f, "view {view}"),
        }
    }
}

/// What a piece of evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proved {
    /// What was done.
    pub finding: Finding,
    /// Who did it.
    pub accused: Accused,
    /// Where.
    pub place: Place,
}

impl Proved {
    /// What a FAULT stands for, once in an epoch.
    #[must_use]
    pub const fn claim(&self) -> (Finding, Accused) {
        (self.finding, self.accused)
    }
    /// The key whose signature convicts, as FAULT names it: a member signs votes with its consensus key and all else
    /// with its receipt key; a builder's is its address, after 12 zero bytes.
    #[must_use]
    pub fn key(&self, members: &[MemberRecord]) -> Option<Hash> {
        let at = match self.accused {
            Accused::Builder { builder, .. } => return Some(Hash(crate::eip712::address(&builder))),
            Accused::Member(member) => member,
        };
        let member = members.get(usize::from(at.0))?;
        Some(if self.finding == Finding::VoteDouble { member.consensus } else { member.receipt })
    }
}

/// Which of two statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The only one, or the first.
    First,
    /// The second.
    Second,
}

impl core::fmt::Display for Which {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}

/// The step at which a proof fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Longer than [`limits::EVIDENCE_BYTES_MAX`].
    #[error("longer than evidence may be")]
    Size,
    /// Of another network.
    #[error("of another network")]
    Network,
    /// Of another epoch.
    #[error("of another epoch")]
    Epoch,
    /// Of a slot that is not in the epoch.
    #[error("slot {0} is not in the epoch")]
    Slot(Slot),
    /// Of nobody in the committee.
    #[error("member {0} is not in the committee")]
    Member(MemberId),
    /// The two statements are of two members or builders, or of two places.
    #[error("the statements are not of one member and place")]
    Apart,
    /// The same statement twice, or the smaller one second.
    #[error("the statements are the same, or out of order")]
    Order,
    /// A signature does not verify.
    #[error("the signature of the {0} statement does not verify")]
    Signature(Which),
    /// An honest member may say both.
    #[error("the statements do not contradict each other")]
    Agree,
    /// A text is no receipt.
    #[error("the text of the {0} statement is no receipt: {1}")]
    Receipt(Which, ReceiptError),
    /// The list keeps the rules.
    #[error("the list keeps the rules")]
    ListHolds,
    /// A share message or bid of another format.
    #[error("of another version")]
    Version,
    /// The block is not the one that the shares are for.
    #[error("the block is not the one of the share message")]
    Block,
    /// The unit is not at that place of the block's set.
    #[error("the unit is not at its place in the block's set")]
    Unit,
    /// The chunk is not under the signed root, or does not hold the unit's share.
    #[error("the chunk is not the signed one that holds the share")]
    Chunk,
    /// The unit's U is no point of the group, so there is no right share of it.
    #[error("the unit has no point to share")]
    Point,
    /// The share is right.
    #[error("the share is right")]
    ShareHolds,
    /// The opening is not in the signed message.
    #[error("the opening is not at its place in the signed message")]
    Opening,
    /// The unit should never have been in a set, so there is no right opening of it.
    #[error("the unit is not admissible")]
    Inadmissible,
    /// The opening is right.
    #[error("the opening is right")]
    OpeningHolds,
    /// The block is not proven final.
    #[error("the block is not proven final: {0}")]
    Finality(FinalityError),
}

/// Reads evidence from bytes; `None` if they are too many, or no canonical encoding.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Evidence> {
    codec::decode(bytes, limits::EVIDENCE_BYTES_MAX).ok()
}

/// Name of a piece of evidence: SHA-256("lockstep/evidence/v1" | codec(Evidence)).
#[must_use]
pub fn id(evidence: &Evidence) -> Hash {
    tagged(tag::EVIDENCE, &[&codec::encode(evidence)])
}

/// Checks a piece of evidence.
///
/// # Errors
/// [`EvidenceError`]: the step that fails. Then it says nothing about anybody.
pub fn verify(evidence: &Evidence, context: &Context<'_>) -> Result<Proved, EvidenceError> {
    if codec::encode(evidence).len() > limits::EVIDENCE_BYTES_MAX {
        return Err(EvidenceError::Size);
    }
    match evidence {
        Evidence::ListDouble { a, a_sig, b, b_sig } => list_double(context, (a, a_sig), (b, b_sig)),
        Evidence::ListInvalid { list } => list_invalid(context, list),
        Evidence::VoteDouble { epoch, view, member, a, b } => vote_double(context, *epoch, *view, *member, a, b),
        Evidence::ShareDouble { a, b } => share_double(context, a, b),
        Evidence::ShareBad { fault } => share_bad(context, fault),
        Evidence::BeaconBad { share } => beacon_bad(context, share),
        Evidence::ShareStray { share, proof } => share_stray(context, share, proof),
        Evidence::ReceiptDouble { member, a, a_sig, b, b_sig } => {
            receipt_double(context, *member, (a, a_sig), (b, b_sig))
        }
        Evidence::OpeningBad { fault } => opening_bad(context, fault),
        Evidence::Builder { double } => builder_double(context, double),
    }
}

/// What a piece of evidence is said to prove, by its form alone: nothing is checked.
#[must_use]
pub fn claim(evidence: &Evidence) -> (Finding, Accused) {
    let (finding, member) = match evidence {
        Evidence::ListDouble { a, .. } => (Finding::ListEquivocation, a.member),
        Evidence::ListInvalid { list } => (Finding::ListInvalid, list.member),
        Evidence::VoteDouble { member, .. } => (Finding::VoteDouble, *member),
        Evidence::ShareDouble { a, .. } => (Finding::ShareEquivocation, a.header.member),
        Evidence::ShareBad { fault } => (Finding::ShareBad, fault.share.header.member),
        Evidence::BeaconBad { share } => (Finding::ShareBad, share.header.member),
        Evidence::ShareStray { share, .. } => (Finding::ShareStray, share.header.member),
        Evidence::ReceiptDouble { member, .. } => (Finding::ReceiptConflict, *member),
        Evidence::OpeningBad { fault } => (Finding::OpeningBad, fault.header.member),
        Evidence::Builder { double } => {
            let (finding, builder, slot) = double.said();
            return (finding, Accused::Builder { builder, slot });
        }
    };
    (finding, Accused::Member(member))
}

/// Two bids as evidence, whichever comes first.
#[must_use]
pub fn bids(one: &Bid, other: &Bid) -> Evidence {
    let (a, b) = ordered(bid::signed(one), bid::signed(other), codec::encode);
    Evidence::Builder { double: BuilderDouble::Bid { a, b }.into() }
}

/// Two bodies, or two tails, as evidence against `signer`, whichever comes first.
#[must_use]
pub fn objects(signer: Address, one: &Object, other: &Object) -> Evidence {
    let (a, b) = ordered(build::signed(one), build::signed(other), codec::encode);
    Evidence::Builder { double: BuilderDouble::Build { signer, a, b }.into() }
}

/// Two lists as evidence, whichever comes first.
#[must_use]
pub fn lists(one: (ListText, Signature), other: (ListText, Signature)) -> Evidence {
    let ((a, a_sig), (b, b_sig)) = ordered(one, other, |(text, _)| codec::encode(text));
    Evidence::ListDouble { a, a_sig, b, b_sig }
}

/// Two votes as evidence, whichever comes first.
#[must_use]
pub fn votes(epoch: Epoch, view: u64, member: MemberId, one: Voted, other: Voted) -> Evidence {
    let (a, b) = ordered(one, other, |voted| codec::encode(&voted.vote));
    Evidence::VoteDouble { epoch, view, member, a, b }
}

/// Two share messages as evidence, whichever comes first.
#[must_use]
pub fn shares(one: SignedShare, other: SignedShare) -> Evidence {
    let (a, b) = ordered(one, other, |share| codec::encode(&share.header));
    Evidence::ShareDouble { a: a.into(), b: b.into() }
}

/// Two receipts as evidence, whichever comes first: the texts, as signed.
#[must_use]
pub fn receipts(member: MemberId, one: (String, Signature), other: (String, Signature)) -> Evidence {
    let ((a, a_sig), (b, b_sig)) = ordered(one, other, |(text, _)| text.clone().into_bytes());
    Evidence::ReceiptDouble { member, a, a_sig, b, b_sig }
}

fn ordered<T>(one: T, other: T, bytes: impl Fn(&T) -> Vec<u8>) -> (T, T) {
    if bytes(&one) <= bytes(&other) { (one, other) } else { (other, one) }
}

impl<'a> Context<'a> {
    fn member(&self, member: MemberId) -> Result<&'a MemberRecord, EvidenceError> {
        self.members.get(usize::from(member.0)).ok_or(EvidenceError::Member(member))
    }
    fn at_home(&self, network: &Hash, epoch: Epoch) -> Result<(), EvidenceError> {
        if *network != self.network {
            return Err(EvidenceError::Network);
        }
        if epoch == self.epoch { Ok(()) } else { Err(EvidenceError::Epoch) }
    }
    fn within(&self, slot: Slot) -> Result<(), EvidenceError> {
        if (self.first_slot..=self.last_slot).contains(&slot) { Ok(()) } else { Err(EvidenceError::Slot(slot)) }
    }
    /// Who combines, where a header says that it begins at `offset`.
    fn combiners(&self, offset: u16, items: u32) -> Combiners {
        let n = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        Combiners::new(n, self.params.combiners, offset, items)
    }
    /// A builder's statement: of this network, of a known format, about a slot of the epoch, and signed.
    fn builder_signed(
        &self,
        (network, known, slot): (Hash, bool, Slot),
        signed: impl FnOnce() -> bool,
        which: Which,
    ) -> Result<(), EvidenceError> {
        if network != self.network {
            return Err(EvidenceError::Network);
        }
        if !known {
            return Err(EvidenceError::Version);
        }
        self.within(slot)?;
        if signed() { Ok(()) } else { Err(EvidenceError::Signature(which)) }
    }

    fn list_signed(&self, text: &ListText, sig: &Signature, which: Which) -> Result<(), EvidenceError> {
        self.at_home(&text.network, self.epoch)?;
        self.within(text.slot)?;
        let key = &self.member(text.member)?.receipt;
        signed(key, list_digest(text).as_bytes(), sig, which)
    }
    fn share_signed(&self, share: &SignedShare, which: Which) -> Result<(), EvidenceError> {
        let SignedShare { header, sig } = share;
        self.at_home(&header.network, header.epoch)?;
        if header.version != 1 {
            return Err(EvidenceError::Version);
        }
        let key = &self.member(header.member)?.receipt;
        signed(key, share_digest(header).as_bytes(), sig, which)
    }
}

fn signed(key: &Hash, message: &[u8], sig: &Signature, which: Which) -> Result<(), EvidenceError> {
    if ed25519::verify(key, message, sig) { Ok(()) } else { Err(EvidenceError::Signature(which)) }
}

fn in_order(a: &[u8], b: &[u8]) -> Result<(), EvidenceError> {
    if a < b { Ok(()) } else { Err(EvidenceError::Order) }
}

fn list_double(
    context: &Context<'_>,
    (a, a_sig): (&ListText, &Signature),
    (b, b_sig): (&ListText, &Signature),
) -> Result<Proved, EvidenceError> {
    if (a.member, a.slot) != (b.member, b.slot) {
        return Err(EvidenceError::Apart);
    }
    in_order(&codec::encode(a), &codec::encode(b))?;
    context.list_signed(a, a_sig, Which::First)?;
    context.list_signed(b, b_sig, Which::Second)?;
    Ok(Proved { finding: Finding::ListEquivocation, accused: Accused::Member(a.member), place: Place::Slot(a.slot) })
}

/// Signatures alone decide: whoever has no bond has nothing to lose.
fn builder_double(context: &Context<'_>, double: &BuilderDouble) -> Result<Proved, EvidenceError> {
    let (finding, builder, slot) = double.said();
    match double {
        BuilderDouble::Bid { a, b } => {
            let place = |header: &BidHeader| (header.bidder, header.slot, header.seq);
            if place(&a.header) != place(&b.header) {
                return Err(EvidenceError::Apart);
            }
            in_order(&codec::encode(a), &codec::encode(b))?;
            for (one, which) in [(a, Which::First), (b, Which::Second)] {
                let BidHeader { network, version, slot, .. } = one.header;
                let known = version == BidHeader::VERSION;
                context.builder_signed((network, known, slot), || bid::is_signed_as(one), which)?;
            }
        }
        BuilderDouble::Build { signer, a, b } => {
            let place = |one: &SignedBuild| (one.reveal.is_some(), one.header.builder, one.header.slot, one.header.seq);
            if place(a) != place(b) {
                return Err(EvidenceError::Apart);
            }
            in_order(&codec::encode(a), &codec::encode(b))?;
            for (one, which) in [(a, Which::First), (b, Which::Second)] {
                let BuildHeader { network, version, slot, .. } = one.header;
                let known = version == BuildHeader::VERSION;
                context.builder_signed((network, known, slot), || build::signer(one) == Some(*signer), which)?;
            }
        }
    }
    Ok(Proved { finding, accused: Accused::Builder { builder, slot }, place: Place::Slot(slot) })
}

/// What a member signs of a list with these leaves.
#[must_use]
pub fn list_text(network: Hash, slot: Slot, member: MemberId, leaves: &[Leaf], cut: Option<Rank>) -> ListText {
    let bytes: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
    let set = merkle::set_ref(&bytes);
    ListText { network, slot, member, count: set.count, root: set.root, cut }
}

/// The rule of a list that it breaks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFault {
    /// Out of order, too long, or a leaf of a class that does not exist.
    Shape,
    /// Over twice the slot's count or bytes.
    Caps,
    /// A cut although there was room for the largest unit.
    Cut,
}

/// The largest unit, in size-class bytes.
const LARGEST_UNIT: u64 = 61_440;

/// Shape, caps and cut of a list (log.md section 4).
#[must_use]
pub fn list_fault(params: &Params, leaves: &[Leaf], cut: Option<&Rank>) -> Option<ListFault> {
    if leaves.len() > limits::LIST_LEAVES_MAX || !leaves.is_sorted_by(|a, b| a < b) {
        return Some(ListFault::Shape);
    }
    let (mut count, mut bytes) = (0u64, 0u64);
    for leaf in leaves {
        if let Leaf::Envelope { size, gas, .. } = leaf {
            let Some(class) = SizeClass::new(*size) else { return Some(ListFault::Shape) };
            if *gas > limits::GAS_CLASS_MAX {
                return Some(ListFault::Shape);
            }
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(u64::try_from(class.bytes()).unwrap_or(u64::MAX));
        }
    }
    let count_cap = u64::from(params.count_limit).saturating_mul(2);
    let bytes_cap = params.bytes_limit.saturating_mul(2);
    if count > count_cap || bytes > bytes_cap {
        return Some(ListFault::Caps);
    }
    let full = count >= count_cap || bytes_cap.saturating_sub(bytes) < LARGEST_UNIT;
    (cut.is_some() && !full).then_some(ListFault::Cut)
}

fn list_invalid(context: &Context<'_>, list: &SignedList) -> Result<Proved, EvidenceError> {
    let text = list_text(context.network, list.slot, list.member, &list.leaves, list.cut);
    context.list_signed(&text, &list.sig, Which::First)?;
    list_fault(context.params, &list.leaves, list.cut.as_ref()).ok_or(EvidenceError::ListHolds)?;
    Ok(Proved { finding: Finding::ListInvalid, accused: Accused::Member(list.member), place: Place::Slot(list.slot) })
}

/// The bytes that a vote signs.
#[must_use]
pub fn voted_bytes(network: &Hash, epoch: Epoch, view: u64, vote: &Vote) -> Vec<u8> {
    let (kind, parent_view, digest) = match vote {
        Vote::Notarize { parent_view, digest } => (VoteKind::Notarize, *parent_view, *digest),
        Vote::Nullify => (VoteKind::Nullify, 0, Hash::ZERO),
        Vote::Finalize { parent_view, digest } => (VoteKind::Finalize, *parent_view, *digest),
    };
    vote_message(network, kind, epoch.0, view, parent_view, &digest)
}

/// Whether an honest member gives at most one of these two in a view. It may notarize and then nullify, or notarize and
/// then finalize.
#[must_use]
pub fn contradict(a: &Vote, b: &Vote) -> bool {
    match (a, b) {
        (Vote::Notarize { .. }, Vote::Notarize { .. }) | (Vote::Finalize { .. }, Vote::Finalize { .. }) => a != b,
        (Vote::Nullify, Vote::Finalize { .. }) | (Vote::Finalize { .. }, Vote::Nullify) => true,
        (Vote::Notarize { .. } | Vote::Nullify, Vote::Nullify)
        | (Vote::Nullify | Vote::Finalize { .. }, Vote::Notarize { .. })
        | (Vote::Notarize { .. }, Vote::Finalize { .. }) => false,
    }
}

fn vote_double(
    context: &Context<'_>,
    epoch: Epoch,
    view: u64,
    member: MemberId,
    a: &Voted,
    b: &Voted,
) -> Result<Proved, EvidenceError> {
    context.at_home(&context.network, epoch)?;
    in_order(&codec::encode(&a.vote), &codec::encode(&b.vote))?;
    if !contradict(&a.vote, &b.vote) {
        return Err(EvidenceError::Agree);
    }
    let key = &context.member(member)?.consensus;
    signed(key, &voted_bytes(&context.network, epoch, view, &a.vote), &a.sig, Which::First)?;
    signed(key, &voted_bytes(&context.network, epoch, view, &b.vote), &b.sig, Which::Second)?;
    Ok(Proved { finding: Finding::VoteDouble, accused: Accused::Member(member), place: Place::View(view) })
}

/// What a member signs of its share message.
#[must_use]
pub fn share_digest(header: &ShareHeader) -> Hash {
    t256(tag::SHARE, &[&codec::encode(header)])
}

/// Leaf of a chunk under the root of a share message.
#[must_use]
pub fn chunk_leaf(index: u16, points: &[G1Bytes]) -> Hash {
    let bytes: Vec<u8> = points.iter().flat_map(|point| point.0).collect();
    t256(tag::SHARE_CHUNK, &[&index.to_le_bytes(), &bytes])
}

fn about(share: &SignedShare) -> Place {
    Place::Slot(share.header.slot)
}

fn share_double(context: &Context<'_>, a: &SignedShare, b: &SignedShare) -> Result<Proved, EvidenceError> {
    let (one, other) = (&a.header, &b.header);
    if (one.member, one.slot) != (other.member, other.slot) {
        return Err(EvidenceError::Apart);
    }
    in_order(&codec::encode(one), &codec::encode(other))?;
    let said = |header: &ShareHeader| (header.digest, header.head, header.root, header.beacon, header.mode);
    if said(one) == said(other) {
        return Err(EvidenceError::Agree);
    }
    context.share_signed(a, Which::First)?;
    context.share_signed(b, Which::Second)?;
    Ok(Proved { finding: Finding::ShareEquivocation, accused: Accused::Member(one.member), place: about(a) })
}

fn share_bad(context: &Context<'_>, fault: &ShareFault) -> Result<Proved, EvidenceError> {
    let ShareFault { share, block, unit, unit_path, envelope, chunk, chunk_path } = fault;
    let header = &share.header;
    context.share_signed(share, Which::First)?;
    if block_digest(block) != header.digest {
        return Err(EvidenceError::Block);
    }
    let leaf = merkle::leaf_hash(hash_envelope(envelope).as_ref());
    if !merkle::verify_path(&block.set.root, block.set.count.into(), (*unit).into(), &leaf, unit_path) {
        return Err(EvidenceError::Unit);
    }
    let given = given_share(context, header, block.bids.count.checked_add(*unit), chunk, chunk_path)?;
    let holds = tdh2::share_holds(context.keys, header.member, &envelope.ciphertext, given);
    match holds.ok_or(EvidenceError::Point)? {
        true => Err(EvidenceError::ShareHolds),
        false => {
            Ok(Proved { finding: Finding::ShareBad, accused: Accused::Member(header.member), place: about(share) })
        }
    }
}

/// The share at this place of the message, out of a chunk that the header's root covers.
fn given_share<'a>(
    context: &Context<'_>,
    header: &ShareHeader,
    at: Option<u32>,
    chunk: &'a [G1Bytes],
    path: &[Hash],
) -> Result<&'a G1Bytes, EvidenceError> {
    let items = usize::try_from(header.items).map_err(|_wide| EvidenceError::Chunk)?;
    let at = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < items).ok_or(EvidenceError::Chunk)?;
    if let ShareMode::Sharded { offset } = header.mode {
        let combiners = context.combiners(offset, header.items);
        let place = |member| {
            let (index, place) = combiners.place(at, member)?;
            let leaf = merkle::leaf_hash(chunk_leaf(index, chunk).as_ref());
            let chunks = u64::try_from(combiners.chunks()).ok()?;
            let whole = chunk.len() == combiners.chunk_items(index).len();
            let signed = whole && merkle::verify_path(&header.root, chunks, index.into(), &leaf, path);
            chunk.get(place).filter(|_| signed)
        };
        // a share goes to several combiners: the path fits one of their chunks
        return combiners.of_item(at).find_map(place).ok_or(EvidenceError::Chunk);
    }
    let index = at.checked_div(limits::CHUNK_SHARES_MAX).unwrap_or(0);
    let first = index.saturating_mul(limits::CHUNK_SHARES_MAX);
    let size = items.saturating_sub(first).min(limits::CHUNK_SHARES_MAX);
    let short = u16::try_from(index).map_err(|_wide| EvidenceError::Chunk)?;
    let leaf = merkle::leaf_hash(chunk_leaf(short, chunk).as_ref());
    let chunks = u64::try_from(items.div_ceil(limits::CHUNK_SHARES_MAX)).map_err(|_wide| EvidenceError::Chunk)?;
    if chunk.len() != size || !merkle::verify_path(&header.root, chunks, short.into(), &leaf, path) {
        return Err(EvidenceError::Chunk);
    }
    chunk.get(at.saturating_sub(first)).ok_or(EvidenceError::Chunk)
}

fn beacon_bad(context: &Context<'_>, share: &SignedShare) -> Result<Proved, EvidenceError> {
    let header = &share.header;
    context.share_signed(share, Which::First)?;
    let message = beacon::Message { network: header.network, slot: header.slot, digest: header.digest };
    if beacon::share_holds(context.keys, header.member, &message, &header.beacon) {
        return Err(EvidenceError::ShareHolds);
    }
    Ok(Proved { finding: Finding::ShareBad, accused: Accused::Member(header.member), place: about(share) })
}

/// What a combiner signs of its openings.
#[must_use]
pub fn openings_digest(header: &OpeningHeader) -> Hash {
    t256(tag::OPENINGS, &[&codec::encode(header)])
}

/// Leaf of an opening under the root of a combiner's message.
#[must_use]
pub fn opening_leaf(item: u32, opening: &Opening) -> Vec<u8> {
    codec::encode(&(item, opening))
}

fn opening_bad(context: &Context<'_>, fault: &OpeningFault) -> Result<Proved, EvidenceError> {
    let OpeningFault { header, sig, block, unit, unit_path, envelope, opening, at, path } = fault;
    if header.version != 1 {
        return Err(EvidenceError::Version);
    }
    context.at_home(&header.network, header.epoch)?;
    context.within(header.slot)?;
    signed(&context.member(header.member)?.receipt, openings_digest(header).as_bytes(), sig, Which::First)?;
    if block_digest(block) != header.digest {
        return Err(EvidenceError::Block);
    }
    let leaf = merkle::leaf_hash(hash_envelope(envelope).as_ref());
    if !merkle::verify_path(&block.set.root, block.set.count.into(), (*unit).into(), &leaf, unit_path) {
        return Err(EvidenceError::Unit);
    }
    let item = block.bids.count.checked_add(*unit).ok_or(EvidenceError::Opening)?;
    let leaf = merkle::leaf_hash(&opening_leaf(item, opening));
    if !merkle::verify_path(&header.openings.root, header.openings.count.into(), (*at).into(), &leaf, path) {
        return Err(EvidenceError::Opening);
    }
    let aad = tdh2::envelope_aad(&envelope.signed.header);
    let class_bytes = envelope.signed.header.class().map_or(0, SizeClass::bytes);
    let item = tdh2::Item { aad: &aad, class_bytes, ciphertext: &envelope.ciphertext };
    match tdh2::check_openings(context.keys, &[item], &[*opening], header.openings.root.0).pop() {
        Some(Err(tdh2::OpeningError::Proof(_))) | None => Err(EvidenceError::Inadmissible),
        Some(Err(_wrong)) => Ok(Proved {
            finding: Finding::OpeningBad,
            accused: Accused::Member(header.member),
            place: Place::Slot(header.slot),
        }),
        Some(Ok(_)) => Err(EvidenceError::OpeningHolds),
    }
}

fn share_stray(context: &Context<'_>, share: &SignedShare, proof: &FinalityProof) -> Result<Proved, EvidenceError> {
    let header = &share.header;
    context.share_signed(share, Which::First)?;
    let first = proof.headers.first().ok_or(EvidenceError::Finality(FinalityError::Empty))?;
    if first.height != header.slot {
        return Err(EvidenceError::Apart);
    }
    let committee = Committee {
        network: context.network,
        epoch: context.epoch,
        f: context.f,
        consensus_keys: context.members.iter().map(|member| member.consensus).collect(),
    };
    let digest = finality::is_final(&committee, proof).map_err(EvidenceError::Finality)?;
    if digest == header.digest {
        return Err(EvidenceError::Agree);
    }
    Ok(Proved { finding: Finding::ShareStray, accused: Accused::Member(header.member), place: about(share) })
}

/// A receipt of this network, given for a list of this epoch.
fn given(context: &Context<'_>, member: MemberId, text: &str, which: Which) -> Result<Receipt, EvidenceError> {
    let receipt = Receipt::parse(text).map_err(|error| EvidenceError::Receipt(which, error))?;
    context.at_home(&receipt.network, context.epoch)?;
    context.within(receipt.list_from)?;
    context.member(member)?;
    Ok(receipt)
}

fn receipt_double(
    context: &Context<'_>,
    member: MemberId,
    (a, a_sig): (&str, &Signature),
    (b, b_sig): (&str, &Signature),
) -> Result<Proved, EvidenceError> {
    in_order(a.as_bytes(), b.as_bytes())?;
    let one = given(context, member, a, Which::First)?;
    let other = given(context, member, b, Which::Second)?;
    if one.seq != other.seq {
        return Err(EvidenceError::Apart);
    }
    if (one.kind, one.item) == (other.kind, other.item) {
        return Err(EvidenceError::Agree);
    }
    let key = &context.member(member)?.receipt;
    signed(key, a.as_bytes(), a_sig, Which::First)?;
    signed(key, b.as_bytes(), b_sig, Which::Second)?;
    let place = Place::Slot(one.list_from.min(other.list_from));
    Ok(Proved { finding: Finding::ReceiptConflict, accused: Accused::Member(member), place })
}

#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod tests;
