// Goal: SEQ-5. Method: an honest block is changed in one place, signed again where its author could sign, and a member that
// has everything is asked; what is invalid is refused twice, what only waits for something is never refused.
use crate::common::{Fate, Inside, Net, Order, World, id, wire};
use crypto::merkle;
use sequencer::{At, Channel, Refused, Ticket};
use std::{cell::RefCell, rc::Rc};
use types::{Block, Epoch, Hash, Leaf, ListSet, ListText, MemberId, MemberList, SetRef, SignedList, Slot, codec};

/// A network after some slots, an honest block that is not voted on yet, its parent and context.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) block: Block,
    parent: Vec<u8>,
    at: At,
    hashes: Vec<Hash>,
}

fn scene(net: &'static Net, seed: u64) -> Scene {
    scene_with(net, seed, |_| {})
}

/// With what `also` sends before the lists go out.
pub(crate) fn scene_with(net: &'static Net, seed: u64, also: impl FnOnce(&mut World)) -> Scene {
    let mut world = World::new(net, seed);
    world.open(1);
    world.consensus.paused = true;
    world.until(20_000, "nothing is under way", |w| {
        let tip = Slot(w.consensus.final_height());
        w.members.iter().all(|m| m.machine.as_ref().unwrap().opened() == tip)
            && w.consensus.final_height() + 1 == u64::try_from(w.consensus.chain.len()).unwrap()
    });
    let mut hashes = Vec::new();
    for wallet in 0..6 {
        let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Junk));
        world.submit(wallet % 4, &envelope);
        hashes.push(hash);
    }
    also(&mut world);
    // the lists of the slot go out with the next close
    let parent = world.consensus.tip().bytes.clone();
    world.consensus.leader = Some(0);
    let at = world.consensus.at(net, world.consensus.view + 1);
    world.pass(1_500);
    let ticket = world.ask_build(0, &parent, at);
    world.until(1_500, "the leader builds", |w| w.built.contains_key(&ticket));
    let block = sequencer::open(world.built[&ticket].as_ref().unwrap()).unwrap().block;
    world.pass(50);
    Scene { world, block, parent, at, hashes }
}

impl Scene {
    pub(crate) fn slot(&self) -> Slot {
        self.block.header.height
    }
    fn ask(&mut self, member: usize, block: &Block) -> Ticket {
        self.world.ask_check(member, &codec::encode(block), &self.parent, self.at)
    }
    /// The verdict of member 1, now and again later.
    pub(crate) fn verdict(&mut self, block: &Block) -> Option<Result<(), Refused>> {
        let first = self.ask(1, block);
        self.world.pass(100);
        let again = self.ask(1, block);
        self.world.pass(100);
        assert_eq!(self.world.checked.get(&first), self.world.checked.get(&again), "a verdict is for ever");
        self.world.checked.get(&first).copied()
    }
    /// The lists of the block as their members signed them.
    pub(crate) fn lists(&self) -> Vec<SignedList> {
        (0..4).map(|member| wire::list(&self.world.members[member].lists[&self.slot()])).collect()
    }
    /// The block with other lists and all roots that follow; the set stays.
    pub(crate) fn with(&self, lists: &[SignedList]) -> Block {
        let mut block = self.block.clone();
        block.lists = Some(join(lists));
        seal(&mut block);
        block
    }
}

fn join(lists: &[SignedList]) -> ListSet {
    let mut leaves: Vec<Leaf> = lists.iter().flat_map(|l| l.leaves.iter().copied()).collect();
    leaves.sort_unstable();
    leaves.dedup();
    let member = |list: &SignedList| {
        let mut bits = vec![0u8; leaves.len().div_ceil(8)];
        for (at, leaf) in leaves.iter().enumerate() {
            if list.leaves.contains(leaf) {
                bits[at / 8] |= 1 << (at % 8);
            }
        }
        MemberList { member: list.member, bits, cut: list.cut, sig: list.sig }
    };
    let members = lists.iter().map(member).collect();
    ListSet { leaves, members }
}

/// Roots over the lists.
fn seal(block: &mut Block) {
    let set = block.lists.as_ref().unwrap();
    let leaf = |list: &MemberList| {
        let has = |at: usize| list.bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        let own: Vec<Leaf> = (0..set.leaves.len()).filter(|at| has(*at)).map(|at| set.leaves[at]).collect();
        let bytes: Vec<_> = own.iter().map(Leaf::bytes).collect();
        let SetRef { count, root } = merkle::set_ref(&bytes);
        let (network, slot, member) = (block.header.network, block.header.height, list.member);
        let text = ListText { network, slot, member, count, root, cut: list.cut };
        [codec::encode(&text), list.sig.as_bytes().to_vec()].concat()
    };
    let leaves: Vec<_> = set.members.iter().map(leaf).collect();
    block.header.lists = merkle::set_ref(&leaves);
}

#[test]
fn seq_5_the_honest_block_is_valid_with_any_quorum_of_lists() {
    let mut scene = scene(Net::four(), 41);
    let block = scene.block.clone();
    let mut wanted = scene.hashes.clone();
    wanted.sort_unstable();
    assert_eq!(block.header.set, merkle::set_ref(&wanted));
    assert_eq!(scene.verdict(&block), Some(Ok(())));
    let all = scene.lists();
    assert_eq!(scene.with(&all), block, "the test joins lists as the leader does");
    for left_out in 0..4 {
        let mut some = all.clone();
        some.remove(left_out);
        let block = scene.with(&some);
        assert_eq!(scene.verdict(&block), Some(Ok(())), "without the list of member {left_out}");
    }
}

#[test]
fn seq_5_lies_in_the_header_are_refused_for_ever() {
    let mut scene = scene(Net::four(), 42);
    type Lie = fn(&mut Block);
    let lies: [(&str, Refused, Lie); 19] = [
        ("network", Refused::Context, |b| b.header.network = Hash([1; 32])),
        ("epoch", Refused::Context, |b| b.header.epoch = Epoch(1)),
        ("height above", Refused::Context, |b| b.header.height = b.header.height.next()),
        ("height below", Refused::Context, |b| b.header.height = b.header.height.prev()),
        ("view", Refused::Context, |b| b.header.view += 1),
        ("proposer", Refused::Context, |b| b.header.proposer = MemberId(2)),
        ("parent", Refused::Context, |b| b.header.parent = Hash([2; 32])),
        ("time zero", Refused::Time, |b| b.header.time_ms.0 = 0),
        ("reveal of another log", Refused::Reveal, |b| b.header.reveal.as_mut().unwrap().root = Hash([3; 32])),
        ("reveal of another size", Refused::Reveal, |b| b.header.reveal.as_mut().unwrap().size += 1),
        ("no reveal", Refused::ListsRoot, |b| b.header.reveal = None),
        ("lists root", Refused::ListsRoot, |b| b.header.lists.root = Hash([4; 32])),
        ("lists count", Refused::ListsRoot, |b| b.header.lists.count += 1),
        ("set root", Refused::Roots, |b| b.header.set.root = Hash([5; 32])),
        ("set count", Refused::Roots, |b| b.header.set.count -= 1),
        ("no set", Refused::Roots, |b| b.header.set = SetRef::EMPTY),
        ("bids", Refused::Roots, |b| b.header.bids = b.header.set),
        ("objects", Refused::Roots, |b| b.header.objects.count = 1),
        ("operations", Refused::Roots, |b| b.header.operations.root = Hash([6; 32])),
    ];
    for (what, refused, lie) in lies {
        let mut block = scene.block.clone();
        lie(&mut block);
        if !matches!(refused, Refused::ListsRoot) {
            seal(&mut block);
        }
        assert_eq!(scene.verdict(&block), Some(Err(refused)), "{what}");
    }
    let mut block = scene.block.clone();
    block.header.time_ms = sequencer::open(&scene.parent).unwrap().block.header.time_ms;
    assert_eq!(scene.verdict(&block), Some(Err(Refused::Time)), "the parent's time");
    let honest = scene.block.clone();
    assert_eq!(scene.verdict(&honest), Some(Ok(())), "and nothing of it stuck");
}

#[test]
fn seq_5_lies_in_the_lists_are_refused_for_ever() {
    let net = Net::narrow();
    let mut scene = scene(net, 43);
    let all = scene.lists();
    let slot = scene.slot();
    let invented = |at: u8| Leaf::Envelope { hash: Hash([at; 32]), fee_per_byte: 3, size: 0, gas: 3 };

    let two = scene.with(&all[..2]);
    assert_eq!(scene.verdict(&two), Some(Err(Refused::ListsShort)));

    let mut lists = all.clone();
    lists[2].sig = lists[1].sig;
    let unsigned = scene.with(&lists);
    assert_eq!(scene.verdict(&unsigned), Some(Err(Refused::ListSignature)));

    // the leader adds a leaf to a list, and takes one away
    let mut lists = all.clone();
    lists[2].leaves.push(invented(0xff));
    lists[2].leaves.sort_unstable();
    let added = scene.with(&lists);
    assert_eq!(scene.verdict(&added), Some(Err(Refused::ListSignature)));
    let mut lists = all.clone();
    lists[2].leaves.pop();
    let removed = scene.with(&lists);
    assert_eq!(scene.verdict(&removed), Some(Err(Refused::ListSignature)));

    // a list that its member signed for the slot before
    let mut lists = all.clone();
    lists[3].sig = wire::sign_list(net, slot.prev(), 3, lists[3].leaves.clone(), None).sig;
    let stale = scene.with(&lists);
    assert_eq!(scene.verdict(&stale), Some(Err(Refused::ListSignature)));

    // a member that does not exist
    let mut lists = all.clone();
    lists[3].member = MemberId(9);
    let stranger = scene.with(&lists);
    assert_eq!(scene.verdict(&stranger), Some(Err(Refused::ListShape)));

    // signed by a bad member itself
    let rank = types::Rank { fee_per_byte: 1, hash: Hash([1; 32]) };
    let mut lists = all.clone();
    lists[3] = wire::sign_list(net, slot, 3, lists[3].leaves.clone(), Some(rank));
    let cut = scene.with(&lists);
    assert_eq!(scene.verdict(&cut), Some(Err(Refused::ListCut)));
    let mut lists = all.clone();
    lists[3] = wire::sign_list(net, slot, 3, (0..25).map(invented).collect(), None);
    let long = scene.with(&lists);
    assert_eq!(scene.verdict(&long), Some(Err(Refused::ListCaps)));
    let mut lists = all.clone();
    let no_class = Leaf::Envelope { hash: Hash([8; 32]), fee_per_byte: 3, size: 5, gas: 3 };
    lists[3] = wire::sign_list(net, slot, 3, vec![no_class], None);
    let classless = scene.with(&lists);
    assert_eq!(scene.verdict(&classless), Some(Err(Refused::ListShape)));

    // a full list with a cut is one: what it invents is in no other list
    let mut lists = all.clone();
    lists[3] = wire::sign_list(net, slot, 3, (0..24).map(invented).collect(), Some(rank));
    let full = scene.with(&lists);
    assert_eq!(scene.verdict(&full), Some(Ok(())), "invented leaves of one member spoil nothing");
    let wrong_numbers = all[3].leaves.iter().map(|leaf| match leaf {
        Leaf::Envelope { hash, fee_per_byte, size, gas } => {
            Leaf::Envelope { hash: *hash, fee_per_byte: fee_per_byte + 1, size: *size, gas: *gas }
        }
        other => *other,
    });
    let mut lists = all.clone();
    lists[3] = wire::sign_list(net, slot, 3, wrong_numbers.collect(), None);
    let wrong = scene.with(&lists);
    assert_eq!(scene.verdict(&wrong), Some(Ok(())), "wrong numbers of one member spoil nothing");
}

#[test]
fn seq_5_misshapen_blocks_are_refused_for_ever() {
    let mut scene = scene(Net::four(), 44);
    let honest = scene.block.clone();
    type Twist = fn(&mut ListSet);
    let twists: [(&str, Twist); 8] = [
        ("a stray bit", |set| *set.members[0].bits.last_mut().unwrap() |= 0x80),
        ("a byte of bits more", |set| set.members[0].bits.push(0)),
        ("a byte of bits less", |set| set.members[0].bits.clear()),
        ("leaves out of order", |set| set.leaves.reverse()),
        ("a leaf twice", |set| set.leaves[1] = set.leaves[0]),
        ("a leaf in no list", |set| set.members.iter_mut().for_each(|m| m.bits[0] &= !1)),
        ("lists out of order", |set| set.members.reverse()),
        ("a list twice", |set| set.members[1] = set.members[0].clone()),
    ];
    for (what, twist) in twists {
        let mut block = honest.clone();
        twist(block.lists.as_mut().unwrap());
        seal(&mut block);
        assert_eq!(scene.verdict(&block), Some(Err(Refused::ListShape)), "{what}");
    }
    let mut bytes = codec::encode(&honest);
    let (parent, at) = (scene.parent.clone(), scene.at);
    bytes.push(0);
    let longer = scene.world.ask_check(1, &bytes, &parent, at);
    let nothing = scene.world.ask_check(1, &[], &parent, at);
    let cut = scene.world.ask_check(1, &codec::encode(&honest)[..100], &parent, at);
    let orphan = scene.world.ask_check(1, &codec::encode(&honest), &codec::encode(&Block::genesis(Hash::ZERO)), at);
    scene.world.pass(20);
    for ticket in [longer, nothing, cut] {
        assert_eq!(scene.world.checked[&ticket], Err(Refused::Malformed));
    }
    assert_eq!(scene.world.checked[&orphan], Err(Refused::Context));
    // an empty block may say nothing about lists
    let mut empty = Block { lists: None, ..honest.clone() };
    assert_eq!(scene.verdict(&empty), Some(Err(Refused::ListsRoot)));
    (empty.header.lists, empty.header.set) = (SetRef::EMPTY, SetRef::EMPTY);
    assert_eq!(scene.verdict(&empty), Some(Err(Refused::ListsRoot)), "it reveals nothing");
    empty.header.reveal = None;
    assert_eq!(scene.verdict(&empty), Some(Err(Refused::EmptyLate)));
}

#[test]
fn seq_5_time_ahead_of_the_clock_waits() {
    let mut scene = scene(Net::four(), 45);
    let mut block = scene.block.clone();
    block.header.time_ms = types::Timestamp(scene.world.now + 1_000);
    let ticket = scene.ask(1, &block);
    scene.world.pass(900);
    assert_eq!(scene.world.checked.get(&ticket), None);
    scene.world.pass(150);
    assert_eq!(scene.world.checked.get(&ticket), Some(&Ok(())));
}

#[test]
fn seq_5_missing_envelopes_and_openings_are_waited_for() {
    let net = Net::four();
    let mut world = World::new(net, 46);
    // member 1 is cut off from envelopes, and later from shares and openings of a slot
    let (items, shares) = (world.now, world.now + 6_000);
    world.filter = Box::new(move |passing| match passing.channel {
        Channel::Items | Channel::Fetch if passing.to == 1 && passing.now < items + 4_000 => Fate::Lost,
        Channel::Shares | Channel::Fetch if passing.to == 1 && (shares..shares + 4_000).contains(&passing.now) => {
            Fate::Lost
        }
        _ => Fate::Arrives,
    });
    let submit = |world: &mut World, nonce| {
        for wallet in 0..6 {
            let (_, envelope) = net.envelope(&Order::new(wallet, nonce, Inside::Junk));
            world.submit([0, 2, 3][wallet % 3], &envelope);
        }
    };
    submit(&mut world, 0);
    world.pass(6_500);
    submit(&mut world, 1);
    world.pass(8_000);
    let others = |world: &World| world.consensus.refused.iter().filter(|r| r.2 != Refused::EmptyLate).count();
    assert_eq!(others(&world), 0, "{:?}", world.consensus.refused);
    let tip = world.consensus.final_height();
    world.open(tip);
    assert_eq!(world.acknowledged().len(), 12);
    assert!(world.acknowledged().is_subset(&world.included()));
    world.audit(1);
}

/// An envelope that only the test holds, and the honest block as if members 2 and 3 had listed it.
fn with_an_absent_envelope(scene: &Scene) -> (Hash, types::Envelope, Block) {
    let net = scene.world.net;
    let (hash, envelope) = net.envelope(&Order::new(12, 0, Inside::Junk));
    let prices = auction_rules::Prices { byte: 16, gas: 1 };
    let header = &envelope.signed.header;
    let fee = auction_rules::fee_per_byte(header.max_fee, header.size_class, header.gas_class, &prices);
    let leaf = Leaf::Envelope { hash, fee_per_byte: fee, size: header.size_class, gas: header.gas_class };
    let mut lists = scene.lists();
    for member in [2, 3] {
        let mut leaves = lists[member].leaves.clone();
        leaves.push(leaf);
        lists[member] = wire::sign_list(net, scene.slot(), member, leaves, None);
    }
    let mut set = scene.hashes.clone();
    set.push(hash);
    set.sort_unstable();
    let mut block = scene.with(&lists);
    block.header.set = merkle::set_ref(&set);
    (hash, envelope, block)
}

#[test]
fn seq_5_a_listed_envelope_that_nobody_serves_yet_keeps_the_verdict_pending() {
    let mut scene = scene(Net::four(), 47);
    let (hash, envelope, block) = with_an_absent_envelope(&scene);
    let ticket = scene.ask(1, &block);
    scene.world.pass(2_000);
    assert_eq!(scene.world.checked.get(&ticket), None);
    let bytes = codec::encode(&wire::Fetch::Items(vec![codec::encode(&envelope)]));
    scene.world.inject(3, 1, Channel::Fetch, bytes);
    scene.world.pass(100);
    assert_eq!(scene.world.checked.get(&ticket), Some(&Ok(())));
    assert!(scene.world.members[1].disk.items.iter().any(|(stored, _)| *stored == hash), "stored before the vote");
    assert_eq!(scene.at.leader, id(0));
}

#[test]
fn seq_5_what_no_block_needs_any_more_is_not_asked_for_any_more() {
    let mut scene = scene(Net::four(), 48);
    let (_, _, block) = with_an_absent_envelope(&scene);
    scene.ask(1, &block);
    scene.world.pass(500);
    let asked = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&asked);
    scene.world.filter = Box::new(move |passing| {
        if passing.channel == Channel::Fetch && passing.from == 1 {
            *counter.borrow_mut() += 1;
        }
        Fate::Arrives
    });
    scene.world.pass(500);
    assert!(*asked.borrow() >= 4, "while the check is pending, it asks");
    // another block is final at that height
    scene.world.go_on();
    let next = scene.slot().0 + 1;
    scene.world.open(next);
    *asked.borrow_mut() = 0;
    scene.world.open(next + 4);
    assert_eq!(*asked.borrow(), 0);
}

#[test]
fn seq_5_what_a_verdict_waits_for_is_admitted_before_what_clients_send() {
    let net = Net::four();
    let mut scene = scene(net, 49);
    let (_, envelope, block) = with_an_absent_envelope(&scene);
    let ticket = scene.ask(1, &block);
    scene.world.pass(20);
    let crowd: Vec<Ticket> =
        (20..290).map(|payer| scene.world.submit(1, &net.envelope(&Order::new(payer, 0, Inside::Junk)).1)).collect();
    let bytes = codec::encode(&wire::Fetch::Items(vec![codec::encode(&envelope)]));
    scene.world.inject(3, 1, Channel::Fetch, bytes);
    scene.world.until(2_000, "the verdict", |w| w.checked.contains_key(&ticket));
    assert_eq!(scene.world.checked[&ticket], Ok(()));
    let answered = crowd.iter().filter(|ticket| scene.world.replies.contains_key(ticket)).count();
    // the first is admitted alone, then a batch of 128
    assert!(answered <= 129, "{answered} of {} came before it", crowd.len());
    scene.world.pass(500);
    assert!(crowd.iter().all(|ticket| scene.world.replies.contains_key(ticket)));
}
