// Goal: f liars neither make a member unready nor keep it from starting; what it shows is what happened.
use super::{
    peers::{Clock, judge, median},
    *,
};

fn health() -> Health {
    Health {
        me: Some(MemberId(0)),
        network: Hash::ZERO,
        origin: "a/b".into(),
        committee: Hash([8; 32]),
        names: (0..4).map(|i| format!("m{i}")).collect(),
        f: 1,
        slot_ms: 500,
        started: Timestamp(0),
        min_free: 100,
        inner: Mutex::new(Inner::default()),
        beat: AtomicU64::new(0),
        disk_low: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
    }
}

fn at(slot: u64) -> Noted {
    let cosigners = [(MemberId(0), Slot(slot)), (MemberId(1), Slot(slot)), (MemberId(2), Slot(slot - 5))].into();
    Noted { last_final: Slot(slot), cosigners, ..Noted::default() }
}

fn says(member: u16, at: u64, slot: u64) -> (MemberId, Heard) {
    (MemberId(member), Heard { at: Timestamp(at), final_slot: Slot(slot), cosigned: Slot(0), clock_ms: 0 })
}

#[test]
fn a_member_is_ready_when_it_has_published_and_slots_rise() {
    let health = health();
    assert_eq!(health.state(Timestamp(0)), State::Starting);
    health.note(Timestamp(1_000), at(10));
    health.published(Timestamp(1_000), Slot(10));
    assert_eq!(health.state(Timestamp(1_000)), State::Ready);
    health.note(Timestamp(9_000), at(10));
    assert_eq!(health.state(Timestamp(11_001)), State::Stalled, "a phase of an old slot is no progress");
    health.note(Timestamp(12_000), at(11));
    assert_eq!(health.state(Timestamp(12_000)), State::Ready);
    health.stop();
    assert_eq!(health.state(Timestamp(12_000)), State::Stopping);
}

#[test]
fn one_liar_of_four_does_not_make_a_member_late() {
    let health = health();
    health.note(Timestamp(1_000), at(10));
    health.published(Timestamp(1_000), Slot(10));
    health.inner().peers.extend([says(1, 1_000, 1_000_000), says(2, 1_000, 11), says(3, 1_000, 10)]);
    assert_eq!(health.state(Timestamp(1_000)), State::Ready);
    health.inner().peers.extend([says(2, 1_000, 21)]);
    assert_eq!(health.state(Timestamp(1_000)), State::Behind);
    assert_eq!(health.state(Timestamp(1_000 + ANSWER_KEPT_MS)), State::Stalled, "old answers count for nothing");
}

#[test]
fn free_space_below_the_limit_is_seen_and_passes() {
    let health = health();
    health.note(Timestamp(1_000), at(10));
    health.published(Timestamp(1_000), Slot(10));
    health.free(99);
    assert!(health.is_disk_low());
    assert_eq!(health.state(Timestamp(1_000)), State::DiskLow);
    health.free(100);
    assert_eq!(health.state(Timestamp(1_000)), State::Ready);
}

#[test]
fn the_report_names_cosigners_that_are_missing() {
    let health = health();
    health.note(Timestamp(1_000), at(10));
    health.published(Timestamp(1_500), Slot(10));
    let report = health.report(Timestamp(2_000), Some(77));
    assert_eq!(report.cosigners.present, ["m0", "m1"]);
    assert_eq!(report.cosigners.missing, ["m2", "m3"]);
    assert_eq!(report.peers.missing, ["m1", "m2", "m3"]);
    let checkpoint = report.checkpoint.unwrap();
    assert_eq!((checkpoint.size, checkpoint.slot, checkpoint.age_ms), (77, Some(10), Some(500)));
}

#[test]
fn a_clock_is_refused_by_more_than_f_peers_on_one_side() {
    assert_eq!(judge(&[], 1, 5_000), Clock::Fine);
    assert_eq!(judge(&[9_000_000, 3, -2], 1, 5_000), Clock::Fine, "one liar");
    assert_eq!(judge(&[9_000], 1, 5_000), Clock::Off(9_000), "one answer of four may be a lie");
    assert_eq!(judge(&[2_500, 2_600, 1], 1, 5_000), Clock::Off(2_500));
    assert_eq!(judge(&[6_000, 7_000, 1], 1, 5_000), Clock::FarOff { ms: 6_000, peers: 2 });
    assert_eq!(judge(&[-6_000, -7_000, 1], 1, 5_000), Clock::FarOff { ms: -6_000, peers: 2 });
    assert_eq!(judge(&[-6_000, 7_000, 1], 1, 5_000), Clock::Fine, "they contradict each other");
    assert_eq!(judge(&[6_000, 7_000, 8_000], 1, 0), Clock::Off(7_000), "0: never");
    assert_eq!(median(vec![-4, 2]), Some(2));
}

#[test]
fn connections_are_read_from_the_engines_metrics() {
    let key = Hash([0xab; 32]);
    let line = format!("network_tracker_connected{{peer=\"{}\",member=\"0\"}} 17\n", "ab".repeat(32));
    assert!(is_connected(&line, &key));
    assert!(!is_connected(&line, &Hash([1; 32])));
}

#[test]
fn a_driver_that_hangs_is_not_alive() {
    let health = health();
    health.beat(Timestamp(1_000));
    assert!(health.is_alive(Timestamp(1_000 + BEAT_WITHIN_MS - 1)));
    assert!(!health.is_alive(Timestamp(1_000 + BEAT_WITHIN_MS)));
}
