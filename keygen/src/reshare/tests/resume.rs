// Restarts: entropy, stored dealings and the sealed log are all that is needed to go on.
use super::*;

/// A resharing in which everybody restarts from what it has on disk, at every step.
#[test]
fn restarts_at_every_step_give_the_same_outcome_and_shares() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (want_logs, players) = exchange(&from, &plan, &to, |_, _| true);
    let want: Vec<_> = players.into_iter().map(|player| player.finish(&plan, refs(&want_logs)).unwrap()).collect();

    let mut disk: Vec<Vec<(MemberId, Vec<u8>)>> = vec![Vec::new(); to.len()];
    let revive = |disk: &[(MemberId, Vec<u8>)], seed| {
        Player::resume(&plan, seed, disk.iter().map(|(dealer, bytes)| (*dealer, bytes.as_slice()))).unwrap()
    };
    let mut logs = Vec::new();
    for index in 0..from.seeds.len() {
        let me = member_id(index);
        let mut acks = Vec::new();
        for (at, seed) in to.iter().enumerate() {
            // The dealer dies after each dealing; a new one of the same entropy goes on.
            let dealing = from.dealer(&plan, index).1.swap_remove(at);
            let mut player = revive(&disk[at], seed);
            let first = player.on_dealing(me, &dealing).unwrap();
            disk[at].push((me, dealing.to_vec()));
            // The player dies between disk and acknowledgement; the dealer asks again.
            let mut player = revive(&disk[at], seed);
            assert_eq!(player.on_dealing(me, &dealing), Some(first.clone()));
            acks.push((member_id(at), first));
        }
        let mut dealer = from.dealer(&plan, index).0;
        assert!(acks.iter().all(|(player, ack)| dealer.on_ack(*player, ack)));
        logs.push(dealer.seal());
    }
    assert_eq!(logs, want_logs, "the same entropy and acknowledgements make the same log");
    for ((seed, disk), (outcome, secrets)) in to.iter().zip(&disk).zip(&want) {
        let (own, shares) = revive(disk, seed).finish(&plan, refs(&logs)).unwrap();
        assert_eq!(own, *outcome);
        assert!(shares.decrypt == secrets.decrypt && shares.beacon == secrets.beacon);
    }
}

#[test]
fn a_log_sealed_before_the_crash_stays_the_one() {
    // Sealed with a player missing, and written down. After the restart the player's acknowledgement arrives: only the
    // bytes on disk are sent.
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let lossy = |message, _: &mut Vec<u8>| message != Message::Ack { player: 3, dealer: 1 };
    let (logs, players) = exchange(&from, &plan, &to, lossy);
    let (others, _) = exchange(&from, &plan, &to, |_, _| true);
    assert_ne!(logs[1], others[1]);
    let outcome = observe(&plan, refs(&logs)).unwrap();
    assert!(outcome.revealed.is_empty());
    for player in players {
        assert_eq!(player.finish(&plan, refs(&logs)).unwrap().0, outcome);
    }
    // A dealer that sends both is the one that loses.
    let both: Vec<Vec<u8>> = logs.iter().chain([&others[1]]).cloned().collect();
    assert_eq!(observe(&plan, refs(&both)).unwrap().faulty, [MemberId(1)]);
}

#[test]
fn a_player_that_lost_its_disk_is_the_only_one_without_shares() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (logs, mut players) = exchange(&from, &plan, &to, |_, _| true);
    let error = Player::start(&plan, &to[1]).unwrap().finish(&plan, refs(&logs)).err().unwrap();
    assert!(
        matches!(error, ReshareError::State { source: CeremonyError::State { member: MemberId(1), .. } }),
        "{error:?}"
    );
    players.remove(1);
    let mut kept: Vec<_> = players.into_iter().map(|player| player.finish(&plan, refs(&logs)).unwrap()).collect();
    let (outcome, _) = kept.pop().unwrap();
    let members = [&to[0], &to[2]];
    let keys: Vec<ShareKey> = members
        .iter()
        .zip(&kept)
        .map(|(seed, (_, secrets))| ShareKey::sign(&outcome, seed, secrets).unwrap())
        .collect();
    assert!(outcome.key_set(&keys).is_err(), "two of the three that it takes");
    // A dealing that is not what was dealt is refused when it is read back.
    let (_, dealings) = from.dealer(&plan, 0);
    let mut spoiled = dealings[1].to_vec();
    spoiled[200] ^= 1;
    let error = Player::resume(&plan, &to[1], [(MemberId(0), spoiled.as_slice())]).err().unwrap();
    assert!(matches!(error, ReshareError::Stored { dealer: MemberId(0) }));
}

#[test]
fn entropy_serves_several_plans_without_a_repetition() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let dealings = |attempt| from.dealer(&from.plan(attempt, &to), 0).1;
    let (first, again, second) = (dealings(0), dealings(0), dealings(1));
    assert!(first == again);
    for (a, b) in first.iter().zip(&second) {
        assert!(a[..49] == b[..49], "the same share is handed over");
        assert!(a[49..97] != b[49..97] && a[145..177] != b[145..177]);
    }
}
