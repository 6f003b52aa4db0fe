//! Bodies and tails: taken from whoever holds the right, listed by whoever holds them, run or placed when they count.
//!
//! ```text
//!  AUCTION(h-1) -> body(h) by W_h          -> lists of h   -> passes 2 and 3 of a full S_h
//!  opening of h -> tail(h) by W_h or whom its bid names -> lists of h+1 (after empty blocks: later) -> runs after L_h
//! ```
//! An object is judged where its block will judge it: on the ledger as of the opening before. What comes sooner waits. It
//! is promised nothing: late, it is none.
use crate::{
    derive::Derived,
    effect::{Channel, Effect, Record, Ticket, To},
    message::Items,
    state::Sequencer,
};
use crypto::{build, ids};
use std::{collections::BTreeMap, sync::Arc};
use types::{
    BuildHeader, Bundle, Hash, Leaf, LeftItem, MemberId, Object, Slot, Timestamp, codec, limits,
    reason::{Reason, Why},
    wire::Refusal,
};

/// Objects of one message that are looked at.
pub(crate) const OFFERED_MAX: usize = 16;
/// Objects of one builder that wait: a body and a tail of every seq by default. Only active builders' wait, so together
/// they are at most so many of each of `max_builders`.
const WAITING_MAX: usize = 8;
/// Bytes of an object in any message: its kind comes before it.
const BYTES_MAX: usize = limits::TAIL_BYTES_MAX + 1;

/// Those that are held.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// Admissible for the slot under way.
    held: BTreeMap<Hash, Arc<Object>>,
    /// Sent before the ledger that judges them is here.
    waiting: BTreeMap<Hash, Arc<Object>>,
    /// Of the newest final blocks, and fetched for one: what members that lag may need.
    past: BTreeMap<Hash, Arc<Object>>,
}

/// Where an object stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Now,
    Later,
    Never,
}

fn is_alike(one: &Object, other: &Object) -> bool {
    let (a, b) = (one.header(), other.header());
    (a.slot, a.builder) == (b.slot, b.builder) && matches!(one, Object::Body(_)) == matches!(other, Object::Body(_))
}

impl Objects {
    pub(crate) fn new(past: BTreeMap<Hash, Arc<Object>>) -> Self {
        Self { past, ..Self::default() }
    }
    /// Any that a block may need, or has needed lately.
    pub(crate) fn any(&self, hash: &Hash) -> Option<&Arc<Object>> {
        self.held.get(hash).or_else(|| self.waiting.get(hash)).or_else(|| self.past.get(hash))
    }
    /// What a restart must not forget.
    pub(crate) fn is_live(&self, hash: &Hash) -> bool {
        self.has(hash)
    }
    pub(crate) fn into_past(self) -> BTreeMap<Hash, Arc<Object>> {
        self.past
    }
    /// Leaves of the list of a slot, ascending; `due` is the slot whose tail may be listed.
    pub(crate) fn listed(&self, slot: Slot, due: Option<Slot>) -> Vec<Leaf> {
        let leaf = |(hash, object): (&Hash, &Arc<Object>)| match &**object {
            Object::Body(body) if body.header.slot == slot => Some(Leaf::Body { seq: body.header.seq, hash: *hash }),
            Object::Tail(tail) if Some(tail.header.slot) == due => {
                Some(Leaf::Tail { seq: tail.header.seq, hash: *hash })
            }
            Object::Body(_) | Object::Tail(_) => None,
        };
        let mut leaves: Vec<Leaf> = self.held.iter().filter_map(leaf).collect();
        leaves.sort_unstable();
        leaves
    }
    /// The block of a slot is final: its body is over, and tails of slots up to `run`.
    pub(crate) fn end_slot(&mut self, slot: Slot, run: Option<Slot>, oldest: Slot) {
        let over = |object: &Object| match object {
            Object::Body(body) => body.header.slot <= slot,
            Object::Tail(tail) => run.is_some_and(|run| tail.header.slot <= run),
        };
        let (past, held) = core::mem::take(&mut self.held).into_iter().partition(|(_, object)| over(object));
        self.held = held;
        self.past.extend(past);
        self.past.retain(|_, object| object.header().slot > oldest);
    }
    fn has(&self, hash: &Hash) -> bool {
        self.held.contains_key(hash) || self.waiting.contains_key(hash)
    }
}

impl Sequencer {
    /// The slot whose tail may be listed now, and its reveal hash: the oldest that has no EXEC.
    pub(crate) fn tail_due(&self) -> Option<(Slot, Hash)> {
        self.unexecuted.first_key_value().map(|(slot, unexecuted)| (*slot, unexecuted.open.reveal))
    }

    /// A builder hands in a body or a tail.
    pub(crate) fn submit_object(&mut self, ticket: Ticket, object: Object) {
        let verdict = self.submitted_object(object);
        self.out.push(Effect::Taken { ticket, verdict });
    }

    fn submitted_object(&mut self, object: Object) -> Result<(), Refusal> {
        if let Some((reason, detail)) = self.takes_nothing(self.current()) {
            return Err(Refusal::new(reason, detail));
        }
        let hash = ids::object_hash(&object);
        if self.objects.has(&hash) {
            return Ok(());
        }
        let when = self.object_is_due(&object);
        self.judge_new_object(&object, when).map_err(|reason| Refusal::new(reason, ""))?;
        if when == When::Now && self.listed() {
            return Err(Refusal::new(Reason::BadRoundNumber, "the slot is closed here"));
        }
        let bytes = codec::encode(&object);
        self.take_object(hash, Arc::new(object), when);
        let items = Items { objects: vec![bytes], ..Items::default() };
        self.out.push(Effect::Send { channel: Channel::Items, to: To::All, bytes: codec::encode(&items) });
        Ok(())
    }

    /// One that a member sent; `forced` when it was fetched for a block.
    pub(crate) fn offered_object(&mut self, from: MemberId, bytes: &[u8], forced: bool) {
        let Ok(object) = codec::decode::<Object>(bytes, BYTES_MAX) else {
            self.out.push(Effect::Reject { from: Some(from), reason: Reason::MalformedData, what: "object" });
            return;
        };
        let hash = ids::object_hash(&object);
        if self.wanted.remove(&hash).is_some() {
            // f + 1 lists name it: the block judges it
            let object = Arc::new(object);
            self.accuse_builder(&hash, &object);
            self.objects.past.insert(hash, object);
            return;
        }
        if forced || self.objects.has(&hash) {
            return;
        }
        let when = self.object_is_due(&object);
        match self.judge_new_object(&object, when) {
            Ok(()) => self.take_object(hash, Arc::new(object), when),
            Err(reason @ Reason::WrongSignature) => {
                self.out.push(Effect::Reject { from: Some(from), reason, what: "object" });
            }
            Err(_no_fault) => {}
        }
    }

    /// A-35: whoever signed this and another body, or another tail, of its builder and seq that is here.
    fn accuse_builder(&mut self, hash: &Hash, object: &Object) {
        let twin = |other: &Object| is_alike(object, other) && object.header().seq == other.header().seq;
        let Objects { held, waiting, past } = &self.objects;
        let others = held.iter().chain(waiting).chain(past).filter(|(at, _)| *at != hash);
        let twins: Vec<Arc<Object>> =
            others.filter(|(_, other)| twin(other)).map(|(_, other)| Arc::clone(other)).collect();
        // of a tail the builder, which bid, and whom it named may have signed one each
        for other in twins {
            self.accuse_objects(object, &other);
        }
    }

    /// A-30: the lists of a final block name two of one seq: what is not here is asked for.
    pub(crate) fn accuse_builders(&mut self, now: Timestamp, derived: Option<&Derived>) {
        let double = |item: &&LeftItem| {
            item.why == Why::Double.number() && matches!(item.leaf, Leaf::Body { .. } | Leaf::Tail { .. })
        };
        let Some(derived) = derived else { return };
        let doubles: Vec<Hash> = derived.left.iter().filter(double).map(|item| item.leaf.hash()).collect();
        let absent: Vec<Hash> = doubles.into_iter().filter(|hash| self.objects.any(hash).is_none()).collect();
        self.want(now, &absent, None);
    }

    /// One that passed [`Self::judge_new_object`].
    fn take_object(&mut self, hash: Hash, object: Arc<Object>, when: When) {
        self.accuse_builder(&hash, &object);
        if when == When::Later {
            self.objects.waiting.insert(hash, object);
            return;
        }
        // a list may name it from now on: then a restart must not forget it
        self.out.push(Effect::Persist(Record::Objects(vec![(hash, codec::encode(&*object))])));
        self.objects.held.insert(hash, object);
    }

    fn object_is_due(&self, object: &Object) -> When {
        let (slot, current, opened) = (object.header().slot, self.current(), self.opened >= self.fin.slot());
        let (now, soon) = match object {
            Object::Body(_) => (slot == current, slot == current.next()),
            Object::Tail(_) => {
                let due = self.tail_due().is_some_and(|(due, _)| due == slot);
                (due || !opened && slot == self.fin.slot(), slot == current)
            }
        };
        match (now, soon, opened) {
            (true, _, true) => When::Now,
            (true, _, false) | (false, true, _) => When::Later,
            (false, false, _) => When::Never,
        }
    }

    /// What the ledger as of the last opening says of an object.
    pub(crate) fn admits_object(&self, object: &Object) -> Result<(), Reason> {
        self.is_ours(object.header())?;
        let params = &self.setup.params;
        let (wanted, signer) = match object {
            Object::Body(body) => {
                (self.ledger.admit_body(params, &body.header, body.units.len())?, build::body_signer(body))
            }
            Object::Tail(tail) => {
                let (due, reveal) = self.tail_due().ok_or(Reason::BadRoundNumber)?;
                (self.ledger.admit_tail(params, due, &reveal, tail)?, build::tail_signer(tail))
            }
        };
        if signer == Some(wanted) { Ok(()) } else { Err(Reason::WrongSignature) }
    }

    fn is_ours(&self, header: &BuildHeader) -> Result<(), Reason> {
        if header.network != self.setup.network {
            return Err(Reason::WrongNetwork);
        }
        if header.version == BuildHeader::VERSION { Ok(()) } else { Err(Reason::MalformedData) }
    }

    fn judge_new_object(&self, object: &Object, when: When) -> Result<(), Reason> {
        match when {
            When::Now => self.admits_object(object)?,
            When::Later => self.judge_early_object(object)?,
            When::Never => return Err(Reason::BadRoundNumber),
        }
        // two of each seq leave none of them; more say nothing new
        let most = usize::from(self.setup.params.bid_seq_max).saturating_add(1).saturating_mul(2);
        let alike = |held: &BTreeMap<Hash, Arc<Object>>| held.values().filter(|o| is_alike(o, object)).count();
        let places = alike(&self.objects.held).saturating_add(alike(&self.objects.waiting));
        if places >= most {
            return Err(Reason::PerRoundBidLimitReached);
        }
        let own = self.objects.waiting.values().filter(|o| o.header().builder == object.header().builder);
        if when == When::Later && own.count() >= WAITING_MAX { Err(Reason::Busy) } else { Ok(()) }
    }

    /// What can be said before the ledger that decides is here: only what an active builder has signed itself waits.
    fn judge_early_object(&self, object: &Object) -> Result<(), Reason> {
        let header = object.header();
        self.is_ours(header)?;
        if header.epoch != self.epoch_of(header.slot) {
            return Err(Reason::WrongEpoch);
        }
        if header.seq > self.setup.params.bid_seq_max {
            return Err(Reason::PerRoundBidLimitReached);
        }
        if !self.ledger.is_active(&header.builder, self.epoch_of(self.current())) {
            return Err(Reason::NotActive);
        }
        let signer = match object {
            Object::Body(body) => build::body_signer(body),
            Object::Tail(tail) => build::tail_signer(tail),
        };
        if signer == Some(header.builder) { Ok(()) } else { Err(Reason::BadRoundNumber) }
    }

    /// A slot is opened: what waited for its ledger is judged.
    pub(crate) fn wake_objects(&mut self) {
        for (hash, object) in core::mem::take(&mut self.objects.waiting) {
            let when = self.object_is_due(&object);
            let keeps = when == When::Later || when == When::Now && self.admits_object(&object).is_ok();
            if keeps {
                self.take_object(hash, object, when);
            }
        }
    }

    /// Objects of the WAL: what a list of this member's may name.
    pub(crate) fn resume_objects(&mut self, records: Vec<Vec<u8>>) {
        for bytes in records {
            let Ok(object) = codec::decode::<Object>(&bytes, BYTES_MAX) else { continue };
            let hash = ids::object_hash(&object);
            // an own list may name it, even one that counts no more: whoever needs it gets it
            let kept = match self.object_is_due(&object) {
                When::Now if self.admits_object(&object).is_ok() => &mut self.objects.held,
                When::Later => &mut self.objects.waiting,
                When::Now | When::Never => &mut self.objects.past,
            };
            kept.insert(hash, Arc::new(object));
        }
    }

    /// Bundles of a tail with the identities of their units.
    pub(crate) fn tail_units(slot: Slot, bundles: &[Bundle]) -> Vec<(Hash, Bundle)> {
        let unit = |(at, bundle): (u32, &Bundle)| (ids::tail_unit_hash(slot, at, bundle), bundle.clone());
        (0..).zip(bundles).map(unit).collect()
    }
}
