// Goal: in the network: what accounts ask for is in every log once, does what it says at the close, and
// waits over restarts; what cannot count is refused with its reason. Method: operations handed to members, told and lost;
// what the ledgers and an auditor say.
use crate::common::{Fate, Net, World, net::wallet, wire, world::kind};
use auction_rules::Act;
use sequencer::{Channel, Ticket};
use types::{
    Address, Amount, Bid, Hash, Kind, Operation, Slot, codec, limits,
    reason::Reason,
    wire::{AccountState, Status},
};

const FEE: u128 = 16 * 512 + 1;
const START: u128 = 1_000_000_000_000_000_000;
const RESERVE: u128 = 10_000_000_000_000;

fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

fn pay(to: Address, units: u128) -> Act {
    Act::Transfer { to, amount: amount(units) }
}

fn bond(units: u128) -> Act {
    Act::Bond { amount: amount(units) }
}

fn hash(operation: &Operation) -> Hash {
    crypto::ids::operation_hash(operation)
}

fn account(world: &World, member: usize, at: usize) -> AccountState {
    world.machine(member).account(&wallet(at).address())
}

fn balance(world: &World, at: usize) -> u128 {
    account(world, 0, at).account.unwrap().balance.units()
}

/// Slots whose section has the operation.
fn entered(world: &World, operation: &Operation) -> Vec<Slot> {
    let wanted = codec::encode(operation);
    let slot = |entry: &Vec<u8>| match kind(entry) {
        Kind::Operation { slot, bytes } if bytes == wanted => Some(slot),
        _ => None,
    };
    world.log.iter().filter_map(slot).collect()
}

fn reason(world: &World, ticket: Ticket) -> Option<Reason> {
    world.taken[&ticket].as_ref().err().and_then(|refusal| refusal.known())
}

fn until_entered(world: &mut World, operation: &Operation) -> Slot {
    world.until(40_000, "an entry", |w| !entered(w, operation).is_empty());
    entered(world, operation)[0]
}

#[test]
fn what_one_member_is_asked_for_is_done_once_by_all() {
    let net = Net::four();
    let mut world = World::new(net, 81);
    world.open(1);
    let operation = net.ask(7, 0, 0, pay(wallet(8).address(), 500));
    let ticket = world.operate(2, &operation);
    // again, and to another member: it is held, that is all
    let again = world.operate(3, &operation);
    let slot = until_entered(&mut world, &operation);
    world.open(slot.0 + 2);
    assert_eq!((&world.taken[&ticket], &world.taken[&again]), (&Ok(()), &Ok(())));
    assert_eq!(entered(&world, &operation), [slot]);
    assert_eq!((balance(&world, 7), balance(&world, 8)), (START - 500 - FEE, START + 500));
    for member in 0..4 {
        assert_eq!(world.machine(member).status(&hash(&operation)), Status::Entered { slot, code: 0 });
        assert_eq!(account(&world, member, 7).operation_nonce, 1);
        world.audit(member);
    }
    // the same bytes have had their turn
    let late = world.operate(1, &operation);
    world.pass(10);
    assert_eq!(reason(&world, late), Some(Reason::NonceTooLow));
}

#[test]
fn operations_of_one_account_come_one_a_slot_in_their_order() {
    let net = Net::four();
    let mut world = World::new(net, 82);
    world.open(1);
    let all: Vec<Operation> = (0..4).map(|nonce| net.ask(7, 0, nonce, pay(wallet(8).address(), 10))).collect();
    for operation in &all {
        world.operate(1, operation);
    }
    world.pass(20);
    assert_eq!(account(&world, 1, 7).pending_operation_nonce, 4);
    assert_eq!(world.machine(1).status(&hash(&all[3])), Status::Pending);
    until_entered(&mut world, &all[3]);
    let slots: Vec<Slot> = all.iter().flat_map(|one| entered(&world, one)).collect();
    assert_eq!(slots.len(), 4);
    assert!(slots.is_sorted_by(|a, b| a < b), "{slots:?}");
    world.open(slots[3].0 + 2);
    assert_eq!(balance(&world, 7), START - 40 - 4 * FEE);
    world.audit(0);
}

#[test]
fn every_bad_operation_gets_its_refusal() {
    let net = Net::four();
    let mut world = World::new(net, 83);
    world.open(1);
    let to = wallet(8).address();
    let good = net.account_header(7, 0, 0, pay(to, 5));
    let signed = |change: &dyn Fn(&mut types::AccountHeader)| {
        let mut header = good;
        change(&mut header);
        Operation::Account(crypto::account::sign(&wallet(7), header).into())
    };
    let mut forged = crypto::account::sign(&wallet(7), good);
    forged.header.amount = amount(6);
    let unknown = wallet(999);
    let stranger = crypto::account::sign(&unknown, types::AccountHeader { account: unknown.address(), ..good });
    let cases = [
        (signed(&|h| h.network = Hash([3; 32])), Reason::WrongNetwork),
        (signed(&|h| h.version = 2), Reason::Unsupported),
        (signed(&|h| h.kind = types::AccountHeader::ROLLUP), Reason::Unsupported),
        (signed(&|h| h.kind = 9), Reason::MalformedData),
        (signed(&|h| h.kind = types::AccountHeader::BOND), Reason::MalformedData),
        (signed(&|h| h.data = Hash([1; 32])), Reason::MalformedData),
        (signed(&|h| h.epoch = types::Epoch(2)), Reason::WrongEpoch),
        (signed(&|h| h.nonce = types::Nonce(1)), Reason::NonceTooFar),
        (signed(&|h| h.amount = amount(START)), Reason::InsufficientBalance),
        (net.ask(7, 0, 0, Act::Unbond { amount: amount(1) }), Reason::InsufficientBalance),
        (net.ask(7, 0, 0, Act::Withdraw { amount: amount(1) }), Reason::NotActive),
        (Operation::Account(forged.into()), Reason::WrongSignature),
        (Operation::Account(stranger.into()), Reason::UnknownAccount),
    ];
    let tickets: Vec<_> = cases.iter().map(|(operation, _)| world.operate(0, operation)).collect();
    world.pass(20);
    for (ticket, (operation, wanted)) in tickets.iter().zip(&cases) {
        assert_eq!(reason(&world, *ticket), Some(*wanted), "{operation:?}");
    }
    // another of a nonce that waits; and more than may wait
    let first = world.operate(0, &signed(&|_| {}));
    let second = world.operate(0, &signed(&|h| h.amount = amount(6)));
    let more: Vec<_> = (1..=8).map(|nonce| world.operate(0, &net.ask(7, 0, nonce, pay(to, 5)))).collect();
    world.pass(20);
    assert_eq!((reason(&world, first), reason(&world, second)), (None, Some(Reason::Quota)));
    let told: Vec<_> = more.iter().map(|ticket| reason(&world, *ticket)).collect();
    assert!(told[..7].iter().all(Option::is_none) && told[7] == Some(Reason::Quota), "{told:?}");
    world.open(4);
    world.audit(0);
}

#[test]
fn what_waits_survives_a_restart_and_is_fetched_by_those_who_lack_it() {
    let net = Net::four();
    let mut world = World::new(net, 84);
    world.open(1);
    world.consensus.paused = true;
    world.pass(1_500);
    // nobody hears of it, and whoever was asked stops
    world.filter = Box::new(|passing| if passing.channel == Channel::Items { Fate::Lost } else { Fate::Arrives });
    let operation = net.ask(7, 0, 0, pay(wallet(8).address(), 5));
    world.operate(0, &operation);
    world.pass(20);
    assert_eq!(world.members[0].disk.operations.len(), 1);
    world.crash(0);
    world.pass(100);
    world.start(0);
    // nothing of it reaches member 2 but by being asked for
    world.filter = Box::new(|passing| {
        let items = |bytes: &[u8]| codec::decode::<wire::Items>(bytes, 1 << 20).unwrap();
        let lost = passing.to == 2 && passing.channel == Channel::Items && !items(passing.bytes).operations.is_empty();
        if lost { Fate::Lost } else { Fate::Arrives }
    });
    world.go_on();
    let slot = until_entered(&mut world, &operation);
    world.open(slot.0 + 3);
    for member in 0..4 {
        world.audit(member);
    }
    // whoever starts from that log knows that it was done
    (0..4).for_each(|member| {
        world.crash(member);
        world.start(member);
    });
    world.open(slot.0 + 6);
    assert_eq!(entered(&world, &operation), [slot]);
    assert_eq!(balance(&world, 8), START + 5);
    assert!(world.members.iter().all(|member| member.disk.operations.is_empty()), "the WAL lets go of it");
}

#[test]
fn a_member_that_tells_of_what_nobody_signed_is_refused_and_fills_nothing() {
    let net = Net::four();
    let mut world = World::new(net, 85);
    world.open(1);
    let mut forged = crypto::account::sign(&wallet(7), net.account_header(7, 0, 0, pay(wallet(8).address(), 5)));
    forged.signature.0[9] ^= 1;
    let far = net.ask(9, 0, 40, bond(1));
    let kind5 = net.account_header(10, 0, 0, bond(1));
    let kind5 = types::AccountHeader { kind: types::AccountHeader::ROLLUP, ..kind5 };
    let all =
        [Operation::Account(forged.into()), far, Operation::Account(crypto::account::sign(&wallet(10), kind5).into())];
    for to in 0..3 {
        let operations = all.iter().map(codec::encode).collect();
        let items = wire::Items { operations, ..wire::Items::default() };
        world.inject(3, to, Channel::Items, codec::encode(&items));
    }
    world.open(6);
    let refused = world.members[0].rejects.iter().filter(|(_, reason, _)| *reason == Reason::WrongSignature).count();
    assert_eq!(refused, 1);
    assert!(all.iter().all(|operation| entered(&world, operation).is_empty()));
    assert!(world.members.iter().all(|member| member.disk.operations.is_empty()));
    world.audit(1);
}

/// An entry without effect is not the end of an operation: its nonce is unused.
#[test]
fn two_versions_of_a_nonce_at_two_members_have_one_effect() {
    let net = Net::four();
    let mut world = World::new(net, 86);
    world.open(1);
    let both = [net.ask(7, 0, 0, pay(wallet(8).address(), 5)), net.ask(7, 0, 0, pay(wallet(9).address(), 6))];
    for (member, operation) in [(0, &both[0]), (1, &both[1])] {
        world.operate(member, operation);
    }
    world.until(40_000, "an entry", |w| both.iter().any(|one| !entered(w, one).is_empty()));
    let slot = both.iter().flat_map(|one| entered(&world, one)).max().unwrap();
    world.open(slot.0 + 4);
    let moved = (balance(&world, 8) - START, balance(&world, 9) - START);
    assert!([(5, 0), (0, 6)].contains(&moved), "{moved:?}");
    assert_eq!(account(&world, 0, 7).operation_nonce, 1);
    assert_eq!(balance(&world, 7), START - moved.0 - moved.1 - FEE, "one fee");
    assert!(world.members.iter().all(|member| member.disk.operations.is_empty()), "none waits any more");
    world.audit(2);
}

#[test]
fn a_new_builder_bonds_by_operation_and_wins_in_the_next_epoch() {
    let net = Net::short_epochs();
    let mut world = World::new(net, 87);
    world.open(2);
    let newcomer = 12;
    world.operate(0, &net.ask(newcomer, 0, 0, bond(START / 2)));
    world.open(6);
    assert!(!account(&world, 0, newcomer).is_builder, "whoever is new waits for the next epoch");
    assert_eq!(account(&world, 0, newcomer).free_bond, amount(START / 2));
    let sold = 9;
    let early = world.bid(1, &net.bid(newcomer, sold, 0, Some(5 * RESERVE)));
    world.open(17);
    assert_eq!(world.replies[&early].as_ref().err().and_then(|refusal| refusal.known()), Some(Reason::NotActive));
    assert!(account(&world, 0, newcomer).is_builder);
    let sold = world.machine(0).last_final().0 + 2;
    let own = world.bid(1, &net.bid(newcomer, sold, 0, Some(9 * RESERVE)));
    world.bid(2, &net.bid(0, sold, 0, Some(4 * RESERVE)));
    world.open(sold);
    assert!(world.replies[&own].is_ok(), "{:?}", world.replies[&own]);
    let mut bids: Vec<Address> = Vec::new();
    let mut winner = None;
    for entry in &world.log {
        match kind(entry) {
            Kind::Bid { slot, bytes } if slot.0 + 1 == sold => {
                bids.push(codec::decode::<Bid>(&bytes, limits::BID_BYTES_MAX).unwrap().header.bidder);
            }
            Kind::Auction { slot, winner: Some(at), price, .. } if slot.0 + 1 == sold => {
                winner = Some((bids[usize::from(at)], price.units()));
            }
            _ => {}
        }
    }
    assert_eq!(winner, Some((wallet(newcomer).address(), 4 * RESERVE)));
    // and out again: not free at once, in the balance after whole epochs
    let left = account(&world, 0, newcomer).account.unwrap().bond;
    assert_eq!(left.units(), START / 2 - FEE - 4 * RESERVE);
    world.operate(3, &net.ask(newcomer, 1, 1, Act::Unbond { amount: left }));
    world.open(sold + 4);
    let state = account(&world, 0, newcomer);
    assert_eq!((state.free_bond, state.unbonding, state.withdrawable), (Amount::ZERO, left, Amount::ZERO));
    let soon = world.operate(3, &net.ask(newcomer, 1, 2, Act::Withdraw { amount: left }));
    world.open(66);
    assert_eq!(reason(&world, soon), Some(Reason::NotActive));
    assert_eq!(account(&world, 0, newcomer).withdrawable, left);
    let before = balance(&world, newcomer);
    let out = net.ask(newcomer, 4, 2, Act::Withdraw { amount: left });
    world.operate(3, &out);
    until_entered(&mut world, &out);
    world.open(world.machine(0).last_final().0 + 2);
    assert_eq!(balance(&world, newcomer), before + left.units() - FEE);
    assert_eq!(account(&world, 0, newcomer).account.unwrap().bond, Amount::ZERO);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn an_operation_lapses_with_the_epoch_after_its_own() {
    let net = Net::short_epochs();
    let mut world = World::new(net, 88);
    world.open(17);
    let old = net.ask(7, 0, 0, bond(5));
    let held = world.operate(0, &old);
    until_entered(&mut world, &old);
    assert_eq!(world.taken[&held], Ok(()), "of the epoch before");
    world.open(33);
    let over = world.operate(0, &net.ask(9, 0, 0, bond(5)));
    world.pass(10);
    assert_eq!(reason(&world, over), Some(Reason::Expired));
    world.audit(0);
}
