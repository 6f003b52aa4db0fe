//! What happens to a network.
use crate::{
    adversaries::{Adversary, FAULTS, FINALIZE, Fault, HANDOVER_FAULTS, SHARDED_FAULTS, Sent, Shows, VOTES},
    common::{
        net::{Net, id},
        rng::Rng,
    },
    places::Place,
    world::{EPOCH_SLOTS, HANDOVER_SLOTS, Plan, Report, World, simulate},
};
use bytes::Bytes;
use consensus::Timeouts;
use std::{
    collections::BTreeSet,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use types::{MemberId, RevealMode, Slot};

fn lan(n: u16) -> Plan {
    Plan { n, place: Place::Lan, loss_percent: 0, reveal: RevealMode::Auto, epoch_slots: EPOCH_SLOTS }
}

fn changing(n: u16) -> Plan {
    Plan { epoch_slots: HANDOVER_SLOTS, ..lan(n) }
}

fn sharded(n: u16) -> Plan {
    Plan { reveal: RevealMode::Sharded, ..lan(n) }
}

pub(crate) fn healthy(seed: u64, n: u16) -> Report {
    simulate(seed, lan(n), Vec::new(), async |w| {
        let ms = if n > 7 { 2_500 } else { 5_000 };
        w.traffic(ms).await;
        // each slot costs a few hops more than half a second
        assert!(w.opened(0) >= ms / 800, "m0 opened {}", w.opened(0));
        assert_eq!(w.book().accusations, []);
        assert!(n > 7 || w.book().sold > 1, "{} slots were sold", w.book().sold);
    })
}

/// A few combine each item, and are in time.
pub(crate) fn healthy_sharded(seed: u64, n: u16) -> Report {
    let plan = if n > 16 { lan(n) } else { sharded(n) };
    simulate(seed, plan, Vec::new(), async |w| {
        let ms = if n > 7 { 2_000 } else { 5_000 };
        w.traffic(ms).await;
        assert!(w.opened(0) >= ms / 800, "m0 opened {}", w.opened(0));
        assert_eq!(w.book().accusations, []);
        assert_eq!(w.book().shares_asked, 0, "nobody waited for combiners");
        assert!(w.book().openings_heard.len() >= usize::from(n.min(7)), "all combine by turns");
    })
}

/// The same in five regions with losses.
pub(crate) fn wan_sharded(seed: u64, n: u16) -> Report {
    let plan = Plan { place: Place::Wan, loss_percent: 2, ..sharded(n) };
    simulate(seed, plan, Vec::new(), async |w| {
        w.traffic(20_000).await;
        assert_eq!(w.book().accusations, []);
    })
}

/// Five regions, two messages of a hundred lost.
pub(crate) fn wan(seed: u64, n: u16) -> Report {
    wan_for(seed, n, 20_000)
}

pub(crate) fn wan_for(seed: u64, n: u16, ms: u64) -> Report {
    let plan = Plan { place: Place::Wan, loss_percent: 2, ..lan(n) };
    simulate(seed, plan, Vec::new(), async |w| {
        w.traffic(ms).await;
        assert_eq!(w.book().accusations, []);
    })
}

/// Half of the members do not hear the other half: nothing becomes final, and goes on soon after.
pub(crate) fn partition(seed: u64, n: u16) -> Report {
    simulate(seed, lan(n), Vec::new(), async |w| {
        w.traffic(2_000).await;
        let side = w.rng.some(usize::from(n) / 2, usize::from(n));
        w.partition(&side).await;
        // what was under way may still become final
        w.traffic(1_000).await;
        let before = w.finals();
        let split = 3_000 + w.rng.below(9_000);
        w.traffic(split).await;
        assert_eq!(w.finals(), before, "no progress without a quorum");
        w.heal().await;
        w.go_on(1, 4 * w.leader_ms()).await;
        w.traffic(1_000).await;
    })
}

/// Every notarization comes just after f + 1 members have given the view up: blocks are certified and nobody can
/// finalize them. Then the network is good.
async fn stranded(w: &mut World, fill_after: u64) {
    let f = w.net.f;
    let hasty = Timeouts { leader_ms: 100, certification_ms: 150, retry_ms: 400, ..Timeouts::for_slot(500) };
    w.traffic(1_000).await;
    w.again(|node| {
        node.timings.fill_after = fill_after;
        // f never vote, one votes at once, the others vote late
        node.look = if node.me < f {
            1 << 40
        } else if node.me > f {
            300
        } else {
            0
        };
        if node.me <= f {
            node.timeouts = hasty;
        }
    });
    w.traffic(6_000).await;
    w.again(|node| {
        node.look = 0;
        node.timeouts = Timeouts::for_slot(500);
    });
}

pub(crate) fn edge(seed: u64, n: u16) -> Report {
    simulate(seed, lan(n), Vec::new(), async |w| {
        stranded(w, 250).await;
        w.go_on(2, 4 * w.leader_ms()).await;
        assert_eq!(w.book().accusations, []);
        assert!(!w.book().empty.is_empty(), "no block was stranded");
    })
}

/// Without empty blocks the same ends the chain, which shows that [`edge`] would.
pub(crate) fn edge_without_empty_blocks(seed: u64, n: u16) {
    let halted = || {
        simulate(seed, lan(n), Vec::new(), async |w| {
            stranded(w, 1 << 40).await;
            let before = w.finals();
            w.pass(20_000).await;
            assert_ne!(w.finals(), before, "halted");
        })
    };
    let why = catch_unwind(AssertUnwindSafe(halted)).expect_err("a chain without empty blocks goes on");
    assert!(why.downcast_ref::<String>().is_some_and(|why| why.contains("halted")));
}

/// No fault of the member: its links to some members lose what would tell them that a block is final.
struct Unheard {
    by: BTreeSet<MemberId>,
}

/// Certificates, and what simplex and marshal answer to those that miss one.
const CERTIFICATES: RangeInclusive<u64> = 1..=3;

impl Adversary for Unheard {
    fn wire(&self, _: &'static Net, channel: u64, to: &[MemberId], bytes: Bytes) -> Sent {
        let lost = channel == VOTES && bytes[0] == FINALIZE || CERTIFICATES.contains(&channel);
        let to = to.iter().filter(|member| !(lost && self.by.contains(member))).copied().collect();
        vec![(to, bytes)]
    }
}

/// All are stopped when a few know that a block is final: too few for its shares, too many for a block on it without them.
pub(crate) fn known_to_few(seed: u64, n: u16) -> Report {
    simulate(seed, lan(n), Vec::new(), async |w| {
        w.traffic(1_500).await;
        let slot = known_to_few_only(w).await;
        w.go_on(1, 4 * w.leader_ms()).await;
        if !is_last(slot) {
            assert!(w.book().empty.contains(&slot.next()), "an empty block tells the rest that slot {slot} is final");
        }
        w.traffic(1_000).await;
        assert_eq!(w.book().accusations, []);
    })
}

/// The same with the last block of an epoch, on which nothing can be proposed.
pub(crate) fn last_known_to_few(seed: u64, n: u16) -> Report {
    simulate(seed, lan(n), Vec::new(), async |w| {
        w.reach(EPOCH_SLOTS - 2).await;
        assert!(is_last(known_to_few_only(w).await));
        w.go_on(2, 4 * w.leader_ms()).await;
        w.traffic(1_000).await;
        assert_eq!(w.book().accusations, []);
    })
}

fn is_last(slot: Slot) -> bool {
    slot.0 % EPOCH_SLOTS == EPOCH_SLOTS - 1
}

/// Stops all and starts them again, so that a few know the slot final that is answered.
async fn known_to_few_only(w: &mut World) -> Slot {
    let count = w.net.f + 1 + w.rng.pick(w.net.f);
    let few = w.rng.some(count, w.net.n);
    let rest: Vec<usize> = w.net.members().filter(|member| !few.contains(member)).collect();
    let by: BTreeSet<MemberId> = rest.iter().map(|member| id(*member)).collect();
    let unheard: Arc<dyn Adversary> = Arc::new(Unheard { by });
    w.again(|node| node.adversary = few.contains(&node.me).then(|| Arc::clone(&unheard)));
    let known_to_few = |w: &World| {
        let finals = w.finals();
        few.iter().map(|member| finals[*member]).min() > rest.iter().map(|member| finals[*member]).max()
    };
    w.until(4 * w.leader_ms(), "a block is final at a few", known_to_few).await;
    let slot = w.finals()[rest[0]].next();
    w.again(|node| node.adversary = None);
    assert!(w.net.members().all(|member| w.opened(member) < slot.0), "slot {slot} is opened already");
    slot
}

/// A member crashes between two effects, twice; later all do.
pub(crate) fn crashes(seed: u64, n: u16) -> Report {
    crashes_in(seed, lan(n))
}

pub(crate) fn crashes_sharded(seed: u64, n: u16) -> Report {
    crashes_in(seed, sharded(n))
}

fn crashes_in(seed: u64, plan: Plan) -> Report {
    let n = plan.n;
    simulate(seed, plan, Vec::new(), async |w| {
        let victim = w.rng.pick(usize::from(n));
        for _ in 0..2 {
            w.traffic(1_000).await;
            w.crash(victim);
            let down = w.rng.below(2_000);
            w.traffic(down).await;
            let effects = 10 + w.rng.below(120);
            w.start_for(victim, Some(effects));
            w.until(20_000, "the planned crash", |w| w.book().members[victim].down).await;
            w.crash(victim);
            let down = w.rng.below(1_500);
            w.pass(down).await;
            w.start(victim);
        }
        w.go_on(1, 4 * w.leader_ms()).await;
        for member in 0..usize::from(n) {
            w.crash(member);
            let gap = w.rng.below(300);
            w.pass(gap).await;
        }
        for member in 0..usize::from(n) {
            w.start(member);
            let gap = w.rng.below(100);
            w.pass(gap).await;
        }
        w.go_on(1, 4 * w.leader_ms()).await;
        w.traffic(1_000).await;
    })
}

/// One member computes ten times slower and hears little at a time.
pub(crate) fn slow_member(seed: u64, n: u16) -> Report {
    simulate(seed, lan(n), Vec::new(), async |w| {
        let slow = w.rng.pick(usize::from(n));
        w.crash(slow);
        w.nodes[slow].cost = (10_000, 3_000);
        w.bandwidth(slow, 200_000).await;
        w.start(slow);
        w.traffic(5_000).await;
        w.go_on(1, 4 * w.leader_ms()).await;
    })
}

/// The secrets are handed over to another committee, and a second time, with clients and builders at work.
pub(crate) fn changes(seed: u64, n: u16) -> Report {
    simulate(seed, changing(n), Vec::new(), async |w| {
        two_changes(w).await;
        assert_eq!(w.book().accusations, []);
    })
}

async fn two_changes(w: &mut World) {
    for epoch in 0..2 {
        w.traffic_to(HANDOVER_SLOTS * epoch + 1).await;
        let member = w.rng.pick(w.net.n);
        w.change(member);
        w.traffic_to(HANDOVER_SLOTS * (epoch + 1) + 1).await;
        assert!(w.works(epoch + 1), "no committee began with epoch {}", epoch + 1);
    }
}

/// The same in five regions with losses, once.
pub(crate) fn changes_wan(seed: u64, n: u16) -> Report {
    let plan = Plan { place: Place::Wan, loss_percent: 2, ..changing(n) };
    simulate(seed, plan, Vec::new(), async |w| {
        w.traffic_to(1).await;
        w.change(usize::from(n) - 1);
        w.traffic_to(HANDOVER_SLOTS + 1).await;
        assert!(w.works(1), "no committee began");
        assert_eq!(w.book().accusations, []);
    })
}

/// Everybody crashes where one committee follows the other: while the secrets are handed over one by one, about the end
/// of the epoch each at its own time, and all at once in the next.
pub(crate) fn changes_crashes(seed: u64, n: u16) -> Report {
    simulate(seed, changing(n), Vec::new(), async |w| {
        w.traffic_to(1).await;
        w.change(0);
        for member in 0..usize::from(n) {
            let at = 7 + w.rng.below(12);
            w.traffic_to(at.max(w.finals()[member].0)).await;
            let down = w.rng.below(700);
            w.restart(member, down).await;
        }
        let end = HANDOVER_SLOTS - 1;
        let before = 1 + w.rng.below(2);
        w.traffic_to(end - before).await;
        for member in 0..usize::from(n) {
            w.crash(member);
            let effects = w.rng.below(150);
            w.start_for(member, Some(effects));
        }
        w.traffic(3_000).await;
        w.again(|_| {});
        w.traffic_to(end + 2).await;
        w.again(|_| {});
        w.go_on(2, 8 * w.leader_ms()).await;
        assert!(w.works(1), "no committee began");
        assert_eq!(w.book().accusations, []);
    })
}

/// As many members of a fault as there may be, while the secrets are handed over twice.
pub(crate) fn faulty_changes(seed: u64, n: u16, fault: Fault) -> Report {
    let (bad, made) = faulty_members(seed, n, fault);
    simulate(seed, changing(n), made, async |w| {
        two_changes(w).await;
        happened(w, &bad, fault).await;
    })
}

/// Everything at once while the committee changes, which may fail then: as many faulty members as there may be, each of
/// another kind, losses, a partition, and crashes about the end of the epoch.
pub(crate) fn chaos_changes(seed: u64, n: u16) -> Report {
    let mut rng = Rng(seed ^ 0xc4a1);
    let bad = rng.some(usize::from((n - 1) / 3), usize::from(n));
    let kinds: Vec<Fault> = FAULTS.into_iter().chain(HANDOVER_FAULTS).collect();
    let made: Vec<_> = bad.iter().map(|member| (*member, (kinds[rng.pick(kinds.len())].make)(*member))).collect();
    let plan = Plan { loss_percent: rng.below(4), ..changing(n) };
    simulate(seed, plan, made, async |w| {
        let honest = w.honest();
        w.traffic_to(1).await;
        let member = w.rng.pick(w.net.n);
        w.change(member);
        let at = 2 + w.rng.below(HANDOVER_SLOTS);
        w.traffic_to(at).await;
        let side: BTreeSet<usize> = w.rng.some(usize::from(n) / 2, usize::from(n));
        w.partition(&side).await;
        let split = 500 + w.rng.below(4_000);
        w.traffic(split).await;
        w.heal().await;
        w.go_on(1, 8 * w.leader_ms()).await;
        let late = HANDOVER_SLOTS - 4 + w.rng.below(4);
        w.traffic_to(late).await;
        for _ in 0..2 {
            let victim = honest[w.rng.pick(honest.len())];
            let down = w.rng.below(3_000);
            w.restart(victim, down).await;
            w.traffic(500).await;
        }
        w.traffic_to(HANDOVER_SLOTS + 2).await;
        w.go_on(1, 8 * w.leader_ms()).await;
    })
}

/// As many members of one fault as there may be.
pub(crate) fn faulty(seed: u64, n: u16, fault: Fault) -> Report {
    faulty_in(seed, lan(n), fault)
}

pub(crate) fn faulty_sharded(seed: u64, n: u16, fault: Fault) -> Report {
    faulty_in(seed, sharded(n), fault)
}

type Faulty = Vec<(usize, Arc<dyn Adversary>)>;

fn faulty_members(seed: u64, n: u16, fault: Fault) -> (BTreeSet<usize>, Faulty) {
    let bad = Rng(seed ^ 0xbad).some(usize::from((n - 1) / 3), usize::from(n));
    let made = bad.iter().map(|member| (*member, (fault.make)(*member))).collect();
    (bad, made)
}

fn faulty_in(seed: u64, plan: Plan, fault: Fault) -> Report {
    let (bad, made) = faulty_members(seed, plan.n, fault);
    simulate(seed, plan, made, async |w| {
        w.traffic(4_000).await;
        w.go_on(3, 8 * w.leader_ms()).await;
        happened(w, &bad, fault).await;
    })
}

/// The fault was seen, the guilty are convicted, and nobody else is accused.
async fn happened(w: &World, bad: &BTreeSet<usize>, fault: Fault) {
    if let Some(finding) = fault.fault {
        let all = |w: &World| bad.iter().all(|member| w.book().convicted.contains(&(finding, *member)));
        w.until(20_000, "the log convicts the guilty", all).await;
    }
    let honest: BTreeSet<usize> = w.honest().into_iter().collect();
    let book = w.book();
    assert!(book.accused().is_subset(bad) && book.voted_twice.is_subset(bad));
    let seen = match fault.shows {
        Shows::As(what, reason) => book.accusations.iter().any(|a| a.what == what && a.reason == reason),
        Shows::TwoVotes => !book.voted_twice.is_empty(),
        Shows::Refused(refused) => book.members.iter().any(|m| m.refused.contains(&refused)),
        Shows::NoShares => bad.is_disjoint(&book.shares_heard),
        Shows::Asking => !bad.is_disjoint(&book.asked),
        Shows::NoOpenings => bad.is_disjoint(&book.openings_heard),
        Shows::NoHandover => book.handed == honest,
        Shows::NoWord => bad.is_subset(&book.unacknowledged),
    };
    assert!(seen, "{}: the fault did not happen", fault.name);
}

/// Everything at once: as many faulty members as there may be, each of another kind, losses, a partition, a crash.
pub(crate) fn chaos(seed: u64, n: u16) -> Report {
    chaos_in(seed, lan(n), &FAULTS)
}

pub(crate) fn chaos_sharded(seed: u64, n: u16) -> Report {
    chaos_in(seed, sharded(n), &SHARDED_FAULTS)
}

fn chaos_in(seed: u64, plan: Plan, faults: &[Fault]) -> Report {
    let n = plan.n;
    let mut rng = Rng(seed ^ 0xc4a0);
    let bad = rng.some(usize::from((n - 1) / 3), usize::from(n));
    let made: Vec<_> = bad.iter().map(|member| (*member, (faults[rng.pick(faults.len())].make)(*member))).collect();
    let plan = Plan { loss_percent: rng.below(4), ..plan };
    simulate(seed, plan, made, async |w| {
        w.traffic(2_500).await;
        let side: BTreeSet<usize> = w.rng.some(usize::from(n) / 2, usize::from(n));
        w.partition(&side).await;
        let split = 1_000 + w.rng.below(5_000);
        w.traffic(split).await;
        w.heal().await;
        w.go_on(1, 8 * w.leader_ms()).await;
        let honest = w.honest();
        let victim = honest[w.rng.pick(honest.len())];
        let down = w.rng.below(3_000);
        w.restart(victim, down).await;
        w.traffic(1_000).await;
        w.go_on(1, 8 * w.leader_ms()).await;
    })
}
