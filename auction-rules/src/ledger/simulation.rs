// Goal: 10,000 slots with random faults, and 0 wei of difference between the ledger and the rules (RUL-2, A-01 to A-04,
// Method: a seeded generator makes bids, units, operations, evidence and empty
// blocks, most of them wrong in some way; a second book, kept below in plain numbers from the words of RULES.md, is
// compared with the ledger after every slot, account by account.
use super::*;
use crate::{AuctionTerms, Bid};
use crate::{
    resolve,
    testing::{address, amount, genesis, unit},
};
use std::println;
use types::{BidText, Epoch, Nonce, Pricing, reason::Finding};

const SLOTS: u64 = 10_000;
const EPOCH: u64 = 20;
const PAYERS: u8 = 6;
/// Builders have addresses from 20 on; the last of them have no bond at first.
const BUILDERS: core::ops::Range<u8> = 20..32;
/// Receivers that are not on the ledger at first.
const STRANGERS: core::ops::Range<u8> = 40..44;
const ROLLUPS: [(u8, u32); 3] = [(50, 3), (51, 1), (52, 0)];

struct Draw {
    state: u64,
}

impl Draw {
    /// splitmix64
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn of(&mut self, range: core::ops::Range<u8>) -> u8 {
        range.start + u8::try_from(self.below(u64::from(range.end - range.start))).unwrap()
    }
}

fn params() -> Params {
    Params {
        epoch_slots: EPOCH,
        max_builders: 8,
        cap_unit: amount(100_000),
        reserve_floor: amount(3_001),
        expiry_slots_max: 8,
        ..Params::default_for(500)
    }
}

/// An account in plain numbers.
#[derive(Clone, Default)]
struct Page {
    balance: u128,
    bond: u128,
    leaving: Vec<(u64, u128)>,
    nonce: u64,
    operations: u64,
    barred: Option<u64>,
    locked: u128,
}

impl Page {
    fn leaving(&self) -> u128 {
        self.leaving.iter().map(|(_, n)| n).sum()
    }
    fn free(&self) -> u128 {
        self.bond - self.leaving() - self.locked
    }
    /// Takes from the oldest entries that `of` names; gives what they did not hold.
    fn take(&mut self, mut wanted: u128, of: impl Fn(u64) -> bool) -> u128 {
        for (epoch, n) in &mut self.leaving {
            if of(*epoch) {
                let taken = wanted.min(*n);
                *n -= taken;
                wanted -= taken;
            }
        }
        wanted
    }
}

/// The ledger by the words of RULES.md.
struct Book {
    params: Params,
    pages: BTreeMap<Address, Page>,
    arriving: BTreeMap<Address, u128>,
    users: u128,
    committee: u128,
    rollups: u128,
    escrow: u128,
    /// Right per slot.
    rights: BTreeMap<u64, (Address, u128)>,
    active: BTreeMap<u64, Vec<Address>>,
    reserves: BTreeMap<u64, u128>,
    average: u128,
    sold: u128,
    fees: u128,
    convicted: BTreeSet<(u64, Address)>,
    units: BTreeMap<Hash, Unit>,
}

#[derive(Clone, Copy)]
struct Unit {
    slot: u64,
    payer: Address,
    base: u128,
    charge: u128,
    builder: Option<Address>,
}

fn parts(n: u128, bps: u16) -> u128 {
    n * u128::from(bps) / 10_000
}

impl Book {
    fn new(params: &Params, balances: &[types::Balance]) -> Self {
        let page = |b: &types::Balance| {
            (b.address, Page { balance: b.balance.units(), bond: b.bond.units(), ..Page::default() })
        };
        let floor = params.reserve_floor.units();
        let mut book = Self {
            params: params.clone(),
            pages: balances.iter().map(page).collect(),
            arriving: BTreeMap::new(),
            users: 0,
            committee: 0,
            rollups: 0,
            escrow: 0,
            rights: BTreeMap::new(),
            active: BTreeMap::new(),
            reserves: BTreeMap::from([(0, floor), (1, floor)]),
            average: 2 * floor,
            sold: 0,
            fees: 0,
            convicted: BTreeSet::new(),
            units: BTreeMap::new(),
        };
        book.choose(0);
        book
    }
    fn choose(&mut self, epoch: u64) {
        let mut bonds: Vec<(u128, Address)> = self
            .pages
            .iter()
            .filter(|(_, page)| page.barred.is_none_or(|until| until < epoch))
            .map(|(address, page)| (page.bond - page.leaving(), *address))
            .filter(|(bond, _)| *bond > 0)
            .collect();
        bonds.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        bonds.truncate(usize::from(self.params.max_builders));
        self.active.insert(epoch, bonds.into_iter().map(|(_, address)| address).collect());
    }
    fn is_active(&self, who: &Address, epoch: u64) -> bool {
        let barred = self.pages.get(who).is_some_and(|page| page.barred.is_some_and(|until| until >= epoch));
        !barred && self.active.get(&epoch).is_some_and(|active| active.contains(who))
    }
    fn credit(&mut self, who: Address, n: u128) {
        match self.pages.get_mut(&who) {
            Some(page) => page.balance += n,
            None if n > 0 => *self.arriving.entry(who).or_default() += n,
            None => {}
        }
    }
    /// What the clock alone does when a slot closes.
    fn begin(&mut self, slot: u64) {
        if slot == (slot / EPOCH + 1) * EPOCH - 1 - 5 {
            self.choose(slot / EPOCH + 1);
        }
        if slot.is_multiple_of(EPOCH) {
            self.average = (7 * self.average + self.sold / u128::from(EPOCH)) / 8;
            self.sold = 0;
            let reserve = (self.average / 2).max(self.params.reserve_floor.units());
            self.reserves.insert(slot / EPOCH + 1, reserve);
            for (who, n) in core::mem::take(&mut self.arriving) {
                self.pages.entry(who).or_default().balance += n;
            }
        }
    }
    fn settle(&mut self, slot: u64, outcomes: &[(Hash, Outcome)]) {
        let mut fees = Vec::new();
        for (hash, outcome) in outcomes {
            if *outcome == Outcome::Carried {
                continue;
            }
            let unit = self.units.remove(hash).unwrap();
            let expired = *outcome == Outcome::Expired;
            let fee = if expired { unit.base } else { unit.charge };
            let bond = 4 * unit.base;
            let committee = parts(fee, 9_000);
            self.committee += committee;
            match unit.builder {
                Some(builder) => self.credit(builder, fee - committee),
                None => self.users += fee - committee,
            }
            self.credit(unit.payer, unit.charge - fee);
            if outcome.is_failed() {
                self.users += bond
            } else {
                self.credit(unit.payer, bond)
            }
            fees.push((unit.payer, fee, outcome.is_failed()));
            self.fees += fee;
        }
        if let Some((_, price)) = self.rights.remove(&slot) {
            self.escrow -= price;
            self.committee += parts(price, 500);
            self.rollups += parts(price, 4_500);
            self.users += price - parts(price, 500) - parts(price, 4_500);
        }
        let all: u128 = fees.iter().map(|(_, fee, _)| fee).sum();
        let rebate = self.users.min(parts(all, 5_000));
        for (payer, fee, failed) in fees {
            if !failed {
                let share = rebate * fee / all;
                self.users -= share;
                self.credit(payer, share);
            }
        }
        if slot % EPOCH == EPOCH - 1 {
            let pool = self.rollups;
            for (rollup, weight) in ROLLUPS {
                let share = pool * u128::from(weight) / 4;
                self.rollups -= share;
                self.credit(address(rollup), share);
            }
            let spill = self.users.saturating_sub(parts(self.fees, 5_000));
            self.users -= spill;
            self.rollups += spill;
            self.fees = 0;
        }
    }
    /// Gives whether it did what it asks for, and changes nothing at all when it is no operation of this account now.
    fn operate(&mut self, slot: u64, operation: &AccountOperation, fee: u128) -> bool {
        let epoch = slot / EPOCH;
        let Some(page) = self.pages.get_mut(&operation.account) else { return false };
        let in_time = operation.epoch.0 == epoch || operation.epoch.0 + 1 == epoch;
        if !in_time || page.operations != operation.nonce.0 || page.balance < fee {
            return false;
        }
        page.balance -= fee;
        page.operations += 1;
        self.users += fee;
        match operation.act {
            Act::Transfer { to, amount } if page.balance >= amount.units() => {
                page.balance -= amount.units();
                self.credit(to, amount.units());
                true
            }
            Act::Bond { amount } if page.balance >= amount.units() => {
                page.balance -= amount.units();
                page.bond += amount.units();
                true
            }
            Act::Unbond { amount } if page.free() >= amount.units() => {
                page.leaving.push((epoch, amount.units()));
                true
            }
            Act::Withdraw { amount } => {
                let ripe = |of: u64| epoch > of + 2;
                let there: u128 = page.leaving.iter().filter(|(of, _)| ripe(*of)).map(|(_, n)| n).sum();
                if there >= amount.units() {
                    page.take(amount.units(), ripe);
                    page.bond -= amount.units();
                    page.balance += amount.units();
                    return true;
                }
                false
            }
            Act::Transfer { .. } | Act::Bond { .. } | Act::Unbond { .. } => false,
        }
    }
    fn slash(&mut self, slot: u64, who: Address) -> u128 {
        let epoch = slot / EPOCH;
        if !self.convicted.insert((slot + 1, who)) {
            return 0;
        }
        let reserve = self.reserves[&epoch];
        let page = self.pages.get_mut(&who).unwrap();
        let held = |of: u64| epoch <= of + 2;
        let at_hand: u128 = page.free() + page.leaving.iter().filter(|(of, _)| held(*of)).map(|(_, n)| n).sum::<u128>();
        let slash = page.bond.min((10 * reserve).max(page.bond / 10)).min(at_hand);
        let beyond = slash.saturating_sub(page.free());
        page.take(beyond, held);
        page.bond -= slash;
        page.barred = Some(epoch + 1);
        self.users += slash;
        slash
    }
    fn compare(&self, ledger: &Ledger, slot: u64) {
        let pools = ledger.pools();
        let got = [pools.users, pools.committee, pools.rollups, pools.escrow].map(Amount::units);
        assert_eq!(got, [self.users, self.committee, self.rollups, self.escrow], "pools, slot {slot}");
        let accounts: Vec<_> =
            ledger.accounts().map(|(who, a)| (*who, a.balance.units(), a.bond.units(), a.nonce.0)).collect();
        let pages: Vec<_> = self.pages.iter().map(|(who, p)| (*who, p.balance, p.bond, p.nonce)).collect();
        assert_eq!(accounts, pages, "accounts, slot {slot}");
        for (who, page) in &self.pages {
            assert_eq!(ledger.free_bond(who).units(), page.free(), "free bond, slot {slot}");
        }
    }
}

fn opening() -> Vec<types::Balance> {
    let payers = (0..PAYERS).map(|who| (who, 1u128 << 40, 0));
    // every third builder is poor, and the last four begin without a bond
    let balance = |who: u8| if who.is_multiple_of(3) { 30_000_000 } else { 1 << 50 };
    let builders = BUILDERS.map(|who| (who, balance(who), if who < 28 { 2_000_000 * u128::from(who - 18) } else { 0 }));
    let balance =
        |(who, balance, bond)| types::Balance { address: address(who), balance: amount(balance), bond: amount(bond) };
    payers.chain(builders).map(balance).collect()
}

/// Bids of a slot: most by the book, the others wrong in a way that the head shows.
fn bids(draw: &mut Draw, slot: u64) -> Vec<(BidTerms, Option<Amount>)> {
    let mut out = Vec::new();
    for _ in 0..draw.below(14) {
        let cap_class = u8::try_from([0, 0, 1, 1, 1, 2, 2, 9][usize::try_from(draw.below(8)).unwrap()]).unwrap();
        let cap = 100_000 * 10u64.pow(u32::from(cap_class % 9));
        let bid = BidTerms {
            hash: sha256(&[b"bid", &draw.next().to_be_bytes()]),
            bidder: address(if draw.one_in(30) { 99 } else { draw.of(BUILDERS) }),
            epoch: Epoch(if draw.one_in(40) { slot / EPOCH + 1 } else { slot / EPOCH }),
            slot: Slot(if draw.one_in(40) { slot } else { slot + 1 }),
            seq: u8::try_from(draw.below(5)).unwrap(),
            cap_class,
        };
        let units = match draw.below(10) {
            0 => None,
            1 => Some(cap + 1 + draw.below(10)),
            2 => Some(draw.below(3_001)),
            3 => Some(cap),
            _ => Some(3_001 + draw.below(cap)),
        };
        // two of one seq bar a builder for long, so most slots have none
        let same = out.iter().any(|(o, _): &(BidTerms, _)| (o.bidder, o.seq) == (bid.bidder, bid.seq));
        if !same || draw.one_in(12) {
            out.push((bid, units.map(|units| amount(u128::from(units)))));
        }
    }
    out
}

fn operations(draw: &mut Draw, book: &Book, slot: u64) -> Vec<AccountOperation> {
    let mut out = Vec::new();
    for _ in 0..draw.below(5) {
        let who = match draw.below(8) {
            0 => draw.of(0..PAYERS),
            1 => draw.of(STRANGERS),
            _ => draw.of(BUILDERS),
        };
        let account = address(who);
        let page = book.pages.get(&account).cloned().unwrap_or_default();
        let some = |draw: &mut Draw, of: u128| amount(u128::from(draw.next()) % (of + of / 4 + 2));
        let act = match draw.below(5) {
            0 => {
                let to = if draw.one_in(2) { draw.of(STRANGERS) } else { draw.of(BUILDERS) };
                Act::Transfer { to: address(to), amount: some(draw, page.balance.min(1 << 22)) }
            }
            1 => Act::Bond { amount: some(draw, page.balance) },
            2 => Act::Unbond { amount: some(draw, page.free()) },
            _ => {
                let oldest = page.leaving.iter().map(|(_, n)| *n).find(|n| *n > 0).unwrap_or(0);
                Act::Withdraw { amount: some(draw, oldest / 2) }
            }
        };
        let nonce = Nonce(if draw.one_in(10) { page.operations + 1 } else { page.operations });
        let hash = sha256(&[&draw.next().to_be_bytes()]);
        // of the epoch, now and then of the next, the one before, or one long past
        let back = if hash.0[0] < 8 { u64::from(hash.0[1] % 4) } else { 1 };
        let epoch = Epoch((slot / EPOCH + 1).saturating_sub(back));
        out.push(AccountOperation { hash, epoch, account, nonce, act });
    }
    out
}

/// What a run met, so that a generator that stops making something is noticed.
#[derive(Debug, Default)]
struct Met {
    sales: u64,
    fines: u64,
    slashes: u64,
    empty: u64,
    done: u64,
    refused: u64,
    withdrawn: u64,
    placed: u64,
    inadmissible: u64,
}

fn run(seed: u64, slots: u64) -> Met {
    let params = params();
    let mut world = genesis(params.clone(), &[]);
    world.balances = opening();
    let mut ledger = Ledger::genesis(&world).unwrap();
    let mut book = Book::new(&params, &world.balances);
    let total = ledger.total();
    let (mut draw, mut met) = (Draw { state: seed }, Met::default());
    let mut due: Vec<(u64, Vec<(Hash, Outcome)>)> = Vec::new();
    let mut carried: Vec<(Hash, u64)> = Vec::new();
    let rollups = ROLLUPS.map(|(who, weight)| (address(who), weight));

    for slot in 1..=slots {
        let empty = draw.one_in(12);
        let at = Slot(slot);
        let listed = if empty { Vec::new() } else { bids(&mut draw, slot) };
        let (reserve, sold) = (book.reserves[&((slot + 1) / EPOCH)], slot + 1);
        let fee = 512 * ledger.prices().byte + ledger.prices().gas;
        let fine = reserve.max(10 * fee);

        // ---- lock: the admissible bids, of each bidder the highest seq, none of an equivocator
        let fits = |bid: &BidTerms| {
            let page = book.pages.get(&bid.bidder).cloned().unwrap_or_default();
            let cap = 100_000 * 10u128.pow(u32::from(bid.cap_class));
            bid.cap_class <= 6
                && bid.slot.0 == sold
                && bid.epoch.0 == slot / EPOCH
                && bid.seq <= 3
                && book.is_active(&bid.bidder, slot / EPOCH)
                && book.is_active(&bid.bidder, sold / EPOCH)
                && page.free() >= cap + fine + fee
        };
        let admitted: Vec<_> = listed.iter().filter(|(bid, _)| fits(bid)).copied().collect();
        met.inadmissible += u64::try_from(listed.len() - admitted.len()).unwrap();
        let mut counting: BTreeMap<Address, (u8, u8, Option<Amount>)> = BTreeMap::new();
        let mut doubles: Vec<Address> = Vec::new();
        for (bid, opened) in &admitted {
            let same = admitted.iter().filter(|(o, _)| (o.bidder, o.seq) == (bid.bidder, bid.seq)).count();
            if same > 1 && !doubles.contains(&bid.bidder) {
                doubles.push(bid.bidder);
            }
            let best = counting.entry(bid.bidder).or_insert((bid.seq, bid.cap_class, *opened));
            if bid.seq > best.0 {
                *best = (bid.seq, bid.cap_class, *opened);
            }
        }
        counting.retain(|bidder, _| !doubles.contains(bidder));
        doubles.sort();
        if !empty {
            let terms: Vec<BidTerms> = listed.iter().map(|(bid, _)| *bid).collect();
            let counted = ledger.lock(&params, &terms).unwrap();
            let got: Vec<_> = counted.counting.iter().map(|bid| (bid.bidder, bid.seq)).collect();
            assert_eq!(got, counting.iter().map(|(who, (seq, ..))| (*who, *seq)).collect::<Vec<_>>(), "slot {slot}");
            assert_eq!(counted.equivocators, doubles);
            for (who, (_, class, _)) in &counting {
                book.pages.get_mut(who).unwrap().locked = 100_000 * 10u128.pow(u32::from(*class)) + fine + fee;
            }
            // EXEC of what went before stands before this CLOSE
            for (slot, outcomes) in due.drain(..) {
                let sums = ledger.settle(&params, Slot(slot), &outcomes, &rollups).unwrap();
                let price = book.rights.get(&slot).map_or(0, |(_, price)| *price);
                assert_eq!(sums[0].units(), price);
                book.settle(slot, &outcomes);
            }
        }

        // ---- close
        let mut set: Vec<Terms> = Vec::new();
        if !empty {
            for payer in 0..PAYERS {
                if draw.one_in(2) {
                    let page = &book.pages[&address(payer)];
                    let over = u128::from(draw.below(9_000));
                    let mut one = unit("", payer, page.nonce, 0, &[]);
                    one.hash = sha256(&[b"unit", &slot.to_be_bytes(), &[payer]]);
                    one.max_fee = amount(fee + over);
                    let charge = fee + over / 8;
                    if page.balance >= charge + 4 * fee {
                        let builder = None;
                        book.units.insert(one.hash, Unit { slot, payer: one.account, base: fee, charge, builder });
                        let page = book.pages.get_mut(&one.account).unwrap();
                        page.balance -= charge + 4 * fee;
                        page.nonce += 1;
                        set.push(one);
                    }
                }
            }
        }
        book.begin(slot);
        ledger.close(&params, at, &set).unwrap();
        if empty {
            met.empty += 1;
            ledger.pass_right(at).unwrap();
            if let Some(right) = book.rights.remove(&slot) {
                book.rights.insert(slot + 1, right);
            }
        } else if let Some(right) = ledger.right(at) {
            let placed: Vec<Hash> = set.iter().map(|one| one.hash).filter(|_| draw.one_in(3)).collect();
            ledger.place(at, &right.builder, &placed).unwrap();
            met.placed += u64::try_from(placed.len()).unwrap();
            placed.iter().for_each(|hash| book.units.get_mut(hash).unwrap().builder = Some(right.builder));
        }

        // ---- slashes, then operations
        for who in doubles {
            for _ in 0..=draw.below(2) {
                let took = ledger.penalise(&params, at, Finding::BidDouble, &who, Slot(sold)).unwrap();
                assert_eq!(took.units(), book.slash(slot, who), "slot {slot}");
                met.slashes += u64::from(took > Amount::ZERO);
            }
        }
        if !empty {
            let mut asked = operations(&mut draw, &book, slot);
            let answers = ledger.operate(&params, at, &asked).unwrap();
            asked.sort_by_key(|operation| operation.hash);
            let mut seen = BTreeSet::new();
            for (operation, (hash, answer)) in asked.iter().zip(answers) {
                assert_eq!(operation.hash, hash);
                let before = book.pages.get(&operation.account).map(|page| page.operations);
                let done = !seen.contains(&operation.account) && book.operate(slot, operation, fee);
                assert_eq!(answer.is_ok(), done, "slot {slot}: {operation:?} {answer:?}");
                if book.pages.get(&operation.account).map(|page| page.operations) != before {
                    seen.insert(operation.account);
                }
                let withdrawn = matches!(operation.act, Act::Withdraw { amount } if done && amount > Amount::ZERO);
                met.withdrawn += u64::from(withdrawn);
                *(if done { &mut met.done } else { &mut met.refused }) += 1;
            }
        }

        // ---- auction: every pair compared, no sorting
        if !empty {
            let beacon = sha256(&[&draw.next().to_be_bytes()]);
            let text = |amount| BidText { amount, tail_recipient: Address::ZERO, salt: Hash::ZERO };
            let opened: Vec<_> = counting.iter().rev().map(|(who, (_, _, amount))| (*who, amount.map(text))).collect();
            let resolution = ledger.auction(at, &beacon, &opened).unwrap();
            let terms = AuctionTerms {
                pricing: Pricing::Second,
                reserve: amount(reserve),
                bid_fee: amount(fee),
                garbage_fine: amount(fine),
            };
            let bids: Vec<Bid> = counting
                .iter()
                .map(|(who, (seq, class, opened))| Bid {
                    bidder: *who,
                    seq: *seq,
                    cap: amount(100_000 * 10u128.pow(u32::from(*class))),
                    opened: *opened,
                })
                .collect();
            assert_eq!(resolution, resolve(&beacon, &terms, &bids));
            let valid = |bid: &&Bid| bid.opened.is_some_and(|n| n.units() >= reserve && n <= bid.cap);
            let mut offers: Vec<u128> = bids.iter().filter(valid).filter_map(|b| Some(b.opened?.units())).collect();
            offers.sort_by(|a, b| b.cmp(a));
            let price = offers.first().map_or(0, |_| offers.get(1).copied().unwrap_or(0).max(reserve));
            for bid in &bids {
                let fined = bid.opened.is_none_or(|n| n > bid.cap);
                met.fines += u64::from(fined);
                let page = book.pages.get_mut(&bid.bidder).unwrap();
                page.locked = 0;
                let taken = fee + if fined { fine } else { 0 };
                page.bond -= taken;
                book.users += taken;
            }
            assert_eq!(resolution.winner.is_some(), !offers.is_empty());
            if let Some(winner) = resolution.winner {
                met.sales += 1;
                let own = bids.iter().find(|bid| bid.bidder == winner).unwrap();
                assert_eq!(own.opened.unwrap().units(), offers[0]);
                book.pages.get_mut(&winner).unwrap().bond -= price;
                book.escrow += price;
                book.rights.insert(sold, (winner, price));
            }
            book.sold += price;
        }
        book.pages.values_mut().for_each(|page| page.locked = 0);

        // ---- outcomes of this slot, known later
        let mut outcomes: Vec<(Hash, Outcome)> = Vec::new();
        for (hash, _) in carried.drain(..) {
            outcomes.push((hash, if draw.one_in(2) { Outcome::Expired } else { Outcome::Committed }));
        }
        let mut waits = Vec::new();
        for one in &set {
            let outcome = [
                Outcome::Committed,
                Outcome::Revert,
                Outcome::NotOpened,
                Outcome::BadPlaintext,
                Outcome::Expired,
                Outcome::Carried,
            ][usize::try_from(draw.below(6)).unwrap()];
            if outcome == Outcome::Carried {
                waits.push((one.hash, slot));
            }
            outcomes.push((one.hash, outcome));
        }
        carried = waits;
        due.push((slot, outcomes));

        book.compare(&ledger, slot);
        assert_eq!(ledger.total(), total, "slot {slot}");
    }
    assert!(book.units.values().all(|unit| unit.slot + 30 > slots));
    met
}

#[test]
fn rul_2_no_wei_of_difference_over_10_000_slots_with_faults() {
    let met = run(1, SLOTS);
    println!("{met:?}");
    let Met { sales, fines, slashes, empty, done, refused, withdrawn, placed, inadmissible } = met;
    for (what, count) in [
        ("sales", sales),
        ("fines", fines),
        ("slashes", slashes),
        ("empty", empty),
        ("done", done),
        ("refused", refused),
        ("withdrawn", withdrawn),
        ("placed", placed),
        ("inadmissible", inadmissible),
    ] {
        assert!(count > SLOTS / 200, "{what}: {count}");
    }
}

#[test]
fn rul_2_other_seeds() {
    for seed in [2, 3, 4] {
        run(seed, 400);
    }
}
