//! A network in one run: members, links, clients, and what must hold in the end.
use crate::{
    adversaries::Adversary,
    app::{Door, Handle, Message},
    book::Book,
    common::{
        disk::Disk,
        net::{Inside, Net, Order, id},
        rng::Rng,
    },
    market::Market,
    member::{self, Node},
    places::Place,
};
use consensus::{
    Timeouts,
    testing::{self, Clock as _, Context, Network, Spawner as _, Supervisor as _},
};
use crypto::change;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, UNIX_EPOCH},
};
use tlog::checkpoint;
use types::{
    Change, Envelope, Epoch, Hash, Joining, MemberId, MemberRecord, Operation, Params, RevealMode, Seat, SignedChange,
    Slot, VoteSig, codec,
};
use verifier::{Checks, Replay};

impl Rng {
    /// So many different numbers below `end`.
    pub(crate) fn some(&mut self, count: usize, end: usize) -> BTreeSet<usize> {
        let mut picked = BTreeSet::new();
        while picked.len() < count.min(end) {
            picked.insert(self.pick(end));
        }
        picked
    }
}

/// The fewest that there may be.
pub(crate) const EPOCH_SLOTS: u64 = types::EPOCH_SLOTS_MIN;

/// Three slots for each phase of a handover.
pub(crate) const HANDOVER_SLOTS: u64 = 28;

/// The network of a plan, made once.
fn net(plan: &Plan) -> &'static Net {
    type Made = BTreeMap<(u16, u64, bool, u64), &'static Net>;
    static NETS: OnceLock<Mutex<Made>> = OnceLock::new();
    let mut nets = NETS.get_or_init(Mutex::default).lock().unwrap();
    let Plan { n, place, reveal, epoch_slots, .. } = *plan;
    let params = Params { epoch_slots, reveal, ..Params::default_for(place.slot_ms()) };
    let key = (n, place.slot_ms(), reveal == RevealMode::Sharded, epoch_slots);
    nets.entry(key).or_insert_with(|| Box::leak(Box::new(Net::new(n, params))))
}

type Sealed = BTreeMap<(Hash, usize, u64, bool), (Hash, Envelope)>;

static SEALED: Mutex<Sealed> = Mutex::new(BTreeMap::new());

/// A wallet's envelope, sealed once: no seed enters it. The dearer one replaces the other.
pub(crate) fn envelope(net: &Net, wallet: usize, nonce: u64, dearer: bool) -> (Hash, Envelope) {
    let mut sealed = SEALED.lock().unwrap();
    let made = sealed.entry((net.id, wallet, nonce, dearer)).or_insert_with(|| {
        let inside = match wallet % 8 {
            0 => Inside::Undecryptable,
            1..=3 => Inside::Transfer,
            _ => Inside::Junk,
        };
        let mut order = Order::new(wallet, nonce, inside);
        order.tip += if dearer { 900_000 } else { 0 };
        net.envelope(&order)
    });
    made.clone()
}

/// The envelope of a hash.
pub(crate) fn sealed(net: &Net, hash: &Hash) -> Option<Envelope> {
    let sealed = SEALED.lock().unwrap();
    let mut all = sealed.iter().filter(|((of, ..), _)| *of == net.id).map(|(_, made)| made);
    all.find(|(made, _)| made == hash).map(|(_, envelope)| envelope.clone())
}

/// What a run starts from.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) n: u16,
    pub(crate) place: Place,
    pub(crate) loss_percent: u64,
    pub(crate) reveal: RevealMode,
    pub(crate) epoch_slots: u64,
}

pub(crate) struct World {
    pub(crate) ctx: Context,
    pub(crate) rng: Rng,
    pub(crate) net: &'static Net,
    pub(crate) plan: Plan,
    pub(crate) nodes: Vec<Node>,
    lives: Vec<Option<(testing::Handle<()>, Door)>>,
    pub(crate) book: Arc<Mutex<Book>>,
    network: Arc<Network>,
    linked: BTreeSet<(usize, usize)>,
    /// What clients sent: by wallet and nonce.
    sent: BTreeMap<(usize, u64), Vec<Hash>>,
    /// The next nonce of a wallet.
    nonces: BTreeMap<usize, u64>,
    wallets: usize,
    pub(crate) market: Market,
}

/// Seconds at the start.
const START: Duration = Duration::from_secs(1_800_000_000);
/// Longest run, simulated.
const LIMIT: Duration = Duration::from_secs(900);

/// What is left of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The runtime's digest of all that happened.
    pub(crate) state: String,
    /// Root of the honest log.
    pub(crate) root: Hash,
    pub(crate) slots: u64,
    pub(crate) units: usize,
    pub(crate) empty: usize,
    /// Slots that were sold, tails in the log, and builders' faults.
    pub(crate) sold: usize,
    pub(crate) tails: usize,
    pub(crate) slashes: usize,
    /// Epochs that another committee began.
    pub(crate) changes: usize,
    /// By member and slot: close to opened, ms.
    pub(crate) opening_ms: Vec<(usize, u64)>,
}

/// Runs a scenario under a seed.
pub(crate) fn simulate(
    seed: u64,
    plan: Plan,
    bad: Vec<(usize, Arc<dyn Adversary>)>,
    scenario: impl AsyncFnOnce(&mut World),
) -> Report {
    let (state, mut report) = testing::run(seed, UNIX_EPOCH + START, LIMIT, async |ctx| {
        let mut world = World::new(ctx, seed, plan, bad).await;
        // every third run begins shortly before the end of an epoch
        if seed % 3 == 2 && plan.epoch_slots == EPOCH_SLOTS {
            world.reach(EPOCH_SLOTS - 4).await;
        }
        scenario(&mut world).await;
        world.finish().await
    });
    report.state = state;
    report
}

impl World {
    async fn new(ctx: Context, seed: u64, plan: Plan, bad: Vec<(usize, Arc<dyn Adversary>)>) -> Self {
        let net = net(&plan);
        let keys: Vec<Hash> = net.network.genesis.members.iter().map(|m| m.consensus).collect();
        let network = Arc::new(Network::new(&ctx, &keys).await);
        let faulty = bad.iter().map(|(member, _)| *member).collect();
        let book = Arc::new(Mutex::new(Book::new(net, faulty)));
        let mut bad: BTreeMap<usize, Arc<dyn Adversary>> = bad.into_iter().collect();
        let mut rng = Rng(seed ^ 0x51b1);
        let nodes = net.members().map(|me| Node {
            net,
            me,
            network: Arc::clone(&network),
            disk: Arc::new(Mutex::new(Disk::new(net))),
            saved: Arc::default(),
            book: Arc::clone(&book),
            adversary: bad.remove(&me),
            timings: plan.place.timings(),
            timeouts: Timeouts::for_slot(plan.place.slot_ms()),
            look: 0,
            skew: rng.below(15),
            cost: (1_000, 300),
        });
        let nodes: Vec<Node> = nodes.collect();
        let lives = nodes.iter().map(|_| None).collect();
        let mut world = Self {
            ctx,
            rng,
            net,
            plan,
            nodes,
            lives,
            book,
            network,
            linked: BTreeSet::new(),
            sent: BTreeMap::new(),
            nonces: BTreeMap::new(),
            wallets: 0,
            market: Market::default(),
        };
        world.heal().await;
        for member in net.members() {
            world.start(member);
        }
        world
    }

    /// The way into a member that runs.
    pub(crate) fn handle(&self, member: usize) -> Option<Handle> {
        self.lives[member].as_ref().and_then(|(_, door)| door.handle())
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
    pub(crate) fn honest(&self) -> Vec<usize> {
        let book = self.book();
        self.net.members().filter(|member| book.is_honest(*member)).collect()
    }

    // ---- the network ---------------------------------------------------------------------------------------------

    async fn link_if(&mut self, linked: impl Fn(usize, usize) -> bool) {
        for from in self.net.members() {
            for to in self.net.members().filter(|to| *to != from) {
                let pair = (from, to);
                if linked(from, to) && self.linked.insert(pair) {
                    let link = self.plan.place.link(from, to, self.plan.loss_percent);
                    self.network.link(id(from), id(to), Some(link)).await;
                } else if !linked(from, to) && self.linked.remove(&pair) {
                    self.network.link(id(from), id(to), None).await;
                }
            }
        }
    }
    /// Only members of the same side hear each other.
    pub(crate) async fn partition(&mut self, side: &BTreeSet<usize>) {
        self.link_if(|from, to| side.contains(&from) == side.contains(&to)).await;
    }
    pub(crate) async fn heal(&mut self) {
        self.link_if(|_, _| true).await;
    }
    pub(crate) async fn bandwidth(&self, member: usize, bytes_per_s: usize) {
        self.network.bandwidth(id(member), Some(bytes_per_s)).await;
    }

    // ---- members -------------------------------------------------------------------------------------------------

    pub(crate) fn start(&mut self, member: usize) {
        self.start_for(member, None);
    }
    /// Starts a member whose power goes after so many effects.
    pub(crate) fn start_for(&mut self, member: usize, crash_in: Option<u64>) {
        assert!(self.lives[member].is_none());
        self.book().members[member].down = false;
        let (node, draw, door) = (self.nodes[member].clone(), self.rng.next(), Door::new());
        let ctx = self.ctx.child("member").with_attribute("member", member);
        let own = door.clone();
        let task = ctx.spawn(move |ctx| member::run(ctx, node, draw, crash_in, own));
        self.lives[member] = Some((task, door));
    }
    pub(crate) fn crash(&mut self, member: usize) {
        let (task, _) = self.lives[member].take().unwrap();
        task.abort();
        let keep_staged = self.rng.below(2) == 0;
        self.nodes[member].disk.lock().unwrap().crash(keep_staged);
    }
    /// All members are started again, otherwise than before.
    pub(crate) fn again(&mut self, change: impl Fn(&mut Node)) {
        for member in self.net.members() {
            self.crash(member);
            change(&mut self.nodes[member]);
        }
        for member in self.net.members() {
            self.start(member);
        }
    }
    /// Down for so long.
    pub(crate) async fn restart(&mut self, member: usize, down_ms: u64) {
        self.crash(member);
        self.pass(down_ms).await;
        self.start(member);
    }

    // ---- time ----------------------------------------------------------------------------------------------------

    pub(crate) async fn pass(&self, ms: u64) {
        self.ctx.sleep(Duration::from_millis(ms)).await;
    }
    pub(crate) fn leader_ms(&self) -> u64 {
        Timeouts::for_slot(self.plan.place.slot_ms()).leader_ms
    }

    pub(crate) async fn until(&self, ms: u64, what: &str, done: impl Fn(&Self) -> bool) {
        let mut left = ms;
        while !done(self) {
            assert!(left > 0, "{what} within {ms} ms: {}", self.story());
            let nap = left.min(20);
            self.pass(nap).await;
            left -= nap;
        }
    }

    pub(crate) fn opened(&self, member: usize) -> u64 {
        self.book().members[member].opened.last_key_value().map_or(0, |(slot, _)| slot.0)
    }

    /// The last final slot of each member.
    pub(crate) fn finals(&self) -> Vec<Slot> {
        self.nodes.iter().map(|node| node.disk.lock().unwrap().slot).collect()
    }

    /// Every honest running member has opened so many more slots than anybody had.
    pub(crate) async fn go_on(&self, slots: u64, within_ms: u64) {
        let honest = self.honest();
        let top = honest.iter().map(|member| self.opened(*member)).max().unwrap();
        self.until(within_ms, "openings go on", |w| {
            honest.iter().filter(|m| w.lives[**m].is_some()).all(|member| w.opened(*member) >= top + slots)
        })
        .await;
    }

    /// Whether somebody honest has begun to work with keys that hold since an epoch.
    pub(crate) fn works(&self, since: u64) -> bool {
        self.book().terms.contains(&Epoch(since))
    }

    /// A slot is final at all honest members.
    pub(crate) async fn reach(&self, slot: u64) {
        let honest = self.honest();
        let reached = |w: &Self| {
            let finals = w.finals();
            honest.iter().all(|member| finals[*member].0 >= slot)
        };
        self.until(slot * 4 * self.leader_ms(), "a slot is reached", reached).await;
    }

    fn story(&self) -> String {
        let mut out = String::new();
        for member in self.net.members() {
            let slot = self.nodes[member].disk.lock().unwrap().slot;
            let up = self.lives[member].is_some();
            out += &format!("\n  m{member} up {up} final {slot} opened {}", self.opened(member));
        }
        let book = self.book();
        out += &format!("\n  accused {:?}", book.accusations.iter().rev().take(5).collect::<Vec<_>>());
        out += &format!("\n  refused {:?}", book.members.iter().map(|m| m.refused.last()).collect::<Vec<_>>());
        out += &format!("\n  refusals {:?}", book.refusals.iter().rev().take(3).collect::<Vec<_>>());
        out
    }

    // ---- clients -------------------------------------------------------------------------------------------------

    /// A client sends the next envelope of a wallet, to a quorum or to a few members, now and then a dearer one after it.
    pub(crate) fn submit(&mut self) {
        let wallet = self.wallets % 60;
        self.wallets += 1;
        let nonce = *self.nonces.get(&wallet).unwrap_or(&0);
        self.nonces.insert(wallet, nonce + 1);
        let count = if self.rng.below(3) == 0 { 1 + self.rng.pick(2) } else { self.net.quorum() };
        let to = self.rng.some(count, self.net.n);
        self.send(wallet, nonce, false, &to);
        if self.rng.below(7) == 0 {
            self.send(wallet, nonce, true, &to);
        }
    }

    fn send(&mut self, wallet: usize, nonce: u64, dearer: bool, to: &BTreeSet<usize>) {
        let (hash, envelope) = envelope(self.net, wallet, nonce, dearer);
        self.sent.entry((wallet, nonce)).or_default().push(hash);
        for member in to {
            if let Some(handle) = self.handle(*member) {
                let envelope = Box::new(envelope.clone());
                handle.send(Message::Submit { ticket: handle.ticket(), hash, envelope });
            }
        }
    }

    /// Operators agree on a change of the next epoch: a member comes back with another certificate, so that the secrets
    /// are handed over; in every other epoch slots have other room, too. It is said to all that run.
    pub(crate) fn change(&self, member: usize) {
        let Some(current) = self.book().epoch.clone() else { return };
        let mut seats: Vec<Seat> = (0..self.plan.n).map(|at| Seat::Stays(MemberId(at))).collect();
        let tls = crypto::hash::t256("tls", &[&current.epoch.0.to_le_bytes()]);
        let record = MemberRecord { tls, ..current.members[member].clone() };
        let address = || "127.0.0.1:9".to_owned();
        seats[member] = Seat::Joins(Box::new(Joining { record, p2p: address(), quic: address(), http: address() }));
        let fewer = u32::from(!current.epoch.0.is_multiple_of(2));
        let params = Params { count_limit: current.params.count_limit - fewer, ..current.params.clone() };
        let (network, base) = (current.network, change::base(&current));
        let change = Change { network, until: current.epoch.next(), base, seats, params };
        let sign = |member: usize, digest: Hash| self.net.voters.keys[member].sign(digest.as_bytes());
        let approve = |at: usize| VoteSig { member: id(at), sig: sign(at, change::approval(&change)) };
        let approvals = (0..self.net.quorum()).map(approve).collect();
        let acceptances = vec![sign(member, change::acceptance(&change))];
        let operation = Operation::Change(Box::new(SignedChange { change, approvals, acceptances }));
        for handle in self.net.members().filter_map(|member| self.handle(member)) {
            handle.send(Message::Operation(codec::encode(&operation)));
        }
    }

    /// Clients submit until a slot is final at all honest members that run.
    pub(crate) async fn traffic_to(&mut self, slot: u64) {
        let honest = self.honest();
        let mut left = 8 * slot;
        loop {
            let finals = self.finals();
            if honest.iter().filter(|member| self.lives[**member].is_some()).all(|member| finals[*member].0 >= slot) {
                return;
            }
            assert!(left > 0, "slot {slot} is reached: {}", self.story());
            left -= 1;
            self.traffic(self.net.params().slot_ms).await;
        }
    }

    /// Clients submit throughout.
    pub(crate) async fn traffic(&mut self, ms: u64) {
        let mut left = ms;
        while left > 0 {
            self.submit();
            self.trade();
            let nap = left.min(100 + self.rng.below(2 * self.net.params().slot_ms / 3));
            self.pass(nap).await;
            left -= nap;
        }
    }

    // ---- the end -------------------------------------------------------------------------------------------------

    /// Acknowledged by somebody honest, and neither in a set nor replaced by what is in one. More than is promised: that
    /// takes 2f + 1 receipts, and an envelope here does not expire.
    fn broken_promises(&self) -> Vec<Hash> {
        let book = self.book();
        let kept = |hash: &Hash| {
            book.included.contains_key(hash)
                || self.sent.values().any(|all| all.contains(hash) && all.iter().any(|h| book.included.contains_key(h)))
        };
        book.receipts.keys().filter(|hash| !kept(hash)).copied().collect()
    }

    /// The network is whole again: nothing promised is missing, and an auditor finds nothing.
    async fn finish(&mut self) -> Report {
        self.heal().await;
        for member in self.net.members() {
            if self.book().members[member].down {
                self.crash(member);
            }
            if self.lives[member].is_none() {
                self.start(member);
            }
        }
        let limit = 40 * self.net.params().slot_ms;
        self.until(limit, "what was promised is in a set", |w| w.broken_promises().is_empty()).await;
        self.go_on(1, 8 * self.leader_ms()).await;
        for (by, peer) in self.network.blocked().await {
            let honest = self.honest();
            assert!(
                !honest.contains(&usize::from(by.0)) || !honest.contains(&usize::from(peer.0)),
                "m{by}, which is honest, blocks m{peer}, which is, too"
            );
        }
        let honest = self.honest();
        let audited = honest[self.rng.pick(honest.len())];
        let (slots, root) = self.audit(audited);
        let book = self.book();
        let mut opening_ms = Vec::new();
        for member in honest {
            let seen = &book.members[member];
            let opened = seen.opened.iter();
            opening_ms.extend(opened.filter_map(|(slot, at)| Some((member, at.checked_sub(*seen.closed.get(slot)?)?))));
        }
        let (units, empty) = (book.included.len(), book.empty.len());
        let (sold, tails, slashes, changes) = (book.sold, book.tails, book.slashes, book.terms.len() - 1);
        Report { state: String::new(), root, slots, units, empty, sold, tails, slashes, changes, opening_ms }
    }

    /// The independent verifier reads one member's log and its proofs of finality, beside every receipt of an honest member.
    fn audit(&self, member: usize) -> (u64, Hash) {
        let disk = self.nodes[member].disk.lock().unwrap();
        let mut replay = Replay::new(&self.net.anchor, Checks::ALL).unwrap();
        let book = self.book();
        for (hash, note) in book.promises() {
            let envelope = codec::encode(&sealed(self.net, hash).unwrap());
            let hex: String = envelope.iter().map(|byte| format!("{byte:02x}")).collect();
            replay.promise(format!("{note}envelope {hex}\n").as_bytes()).unwrap();
        }
        let ends: BTreeMap<u64, Slot> = disk.commits.iter().map(|(slot, (head, _))| (head.size, *slot)).collect();
        for (index, entry) in (0u64..).zip(&disk.entries) {
            replay.entry(index, entry);
            if let Some(slot) = ends.get(&(index + 1)) {
                replay.finality(&codec::decode(&disk.commits[slot].1, 1 << 20).unwrap());
            }
        }
        assert_eq!(replay.findings(), [], "the log of m{member}");
        for fault in replay.faults() {
            let name = |member: &usize| checkpoint::receipt_name(self.net.policy.origin(), id(*member));
            let faulty: Vec<String> = book.faulty.iter().map(name).collect();
            assert!(fault.accused.iter().all(|accused| faulty.contains(accused)), "somebody honest: {fault:?}");
        }
        assert_eq!(replay.slots(), disk.slot.0);
        (disk.slot.0, disk.commits[&disk.slot].0.root)
    }
}
