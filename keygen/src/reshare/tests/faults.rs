// KEY-3 and KEY-4: members of either committee that are silent, lie, or sign what they must not.
use super::*;

/// Everybody's messages but those that `lost` names arrive.
fn losing(lost: impl Fn(Message) -> bool) -> impl Fn(Message, &mut Vec<u8>) -> bool {
    move |message, _| !lost(message)
}

fn sent_by_player(message: Message, player: u16) -> bool {
    matches!(message, Message::Ack { player: sender, .. } if sender == player)
}

#[test]
fn key_4_an_absent_player_is_named_and_still_has_its_share() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    for absent in 0..4 {
        let wire = losing(|message| match message {
            Message::Dealing { player, .. } | Message::Ack { player, .. } => player == absent,
            Message::Log { .. } => false,
        });
        let (outcome, next) = reshare(&from, &to, wire).unwrap();
        assert_eq!(outcome.revealed, [MemberId(absent)]);
        assert_eq!(next.parts.revealed, [MemberId(absent)]);
        assert!(outcome.faulty.is_empty());
    }
}

#[test]
fn key_4_silence_towards_f_dealers_reveals_nothing() {
    let (outcome, _) =
        reshare(&Holders::fresh(1..=4), &seeds(2..=5), losing(|m| m == Message::Ack { player: 1, dealer: 2 })).unwrap();
    assert!(outcome.revealed.is_empty());
    let two = |m| matches!(m, Message::Ack { player: 1, dealer: 0 | 2 });
    let (outcome, _) = reshare(&Holders::fresh(1..=4), &seeds(2..=5), losing(two)).unwrap();
    assert_eq!(outcome.revealed, [MemberId(1)], "f + 1 of the chosen dealers published its scalar");
}

#[test]
fn key_3_more_than_f_silent_players_leave_the_old_committee_in_place() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let silent = losing(|message| sent_by_player(message, 0) || sent_by_player(message, 3));
    let error = reshare(&from, &to, silent).err().unwrap();
    let ReshareError::TooFewLogs { required: 3, found: 0, faulty, unavailable } = error else { panic!("{error:?}") };
    assert!(faulty.is_empty(), "a log that says so is nobody's provable fault");
    assert_eq!(unavailable.len(), 4);
}

#[test]
fn key_3_f_absent_dealers_are_survived_and_one_more_is_not() {
    for (n, f) in [(4, 1), (7, 2)] {
        let from = Holders::fresh(1..=n);
        for first in [0, 2] {
            let to = seeds(11..=14);
            let absent = |m, count| matches!(m, Message::Log { dealer } if (first..first + count).contains(&dealer));
            let (outcome, _) = reshare(&from, &to, losing(|m| absent(m, f))).unwrap();
            assert!(outcome.dealers.iter().all(|dealer| !(first..first + f).contains(&dealer.0)));
            let error = reshare(&from, &to, losing(|m| absent(m, f + 1))).err().unwrap();
            let q = usize::from(n) - usize::from(f);
            let ReshareError::TooFewLogs { required, found, faulty, unavailable } = error else { panic!("{error:?}") };
            assert_eq!((required, found), (q, q - 1));
            assert!(faulty.is_empty());
            assert_eq!(unavailable, (first..=first + f).map(MemberId).collect::<Vec<_>>());
        }
    }
}

#[test]
fn key_3_garbage_from_one_dealer_to_one_player_or_to_all_costs_nobody_a_share() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    // The last byte is the beacon's scalar, byte 100 a commitment of the decryption secret.
    for at in [100, 176, 353] {
        let spoil = |victim: Option<u16>| {
            move |message, bytes: &mut Vec<u8>| {
                if matches!(message, Message::Dealing { dealer: 1, player } if victim.is_none_or(|v| v == player)) {
                    bytes[at] ^= 1;
                }
                true
            }
        };
        let (outcome, _) = reshare(&from, &to, spoil(Some(2))).unwrap();
        assert!(outcome.revealed.is_empty(), "one dealer may publish anybody's scalar");
        let (outcome, _) = reshare(&from, &to, spoil(None)).unwrap();
        assert_eq!(outcome.dealers, [0, 2, 3].map(MemberId), "its log is empty");
        assert!(outcome.revealed.is_empty() && outcome.faulty.is_empty());
    }
}

/// The log of a dealer that hands over another scalar than its share; its acknowledgements are missing, too.
fn lying_log(from: &Holders, plan: &Plan, index: usize, half: Secret) -> Vec<u8> {
    let key = crate::party::consensus_key(&from.seeds[index]).unwrap();
    let seal = |plan: &Half, bytes: &Zeroizing<[u8; 32]>, lies: bool| {
        let wrong = Zeroizing::new([5; 32]);
        let share = public::share(member_id(index), if lies { &wrong } else { bytes }).unwrap();
        DealerSide::start(&plan.round, &key, &entropy(index), Some(share)).unwrap().dealer.seal()
    };
    let secrets = &from.secrets[index];
    outcome::join(
        seal(&plan.decrypt, &secrets.decrypt, half == Secret::Decrypt),
        seal(&plan.beacon, &secrets.beacon, half == Secret::Beacon),
    )
}

#[test]
fn key_3_a_signed_lie_is_named_and_does_not_count() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    for half in [Secret::Decrypt, Secret::Beacon] {
        let lie = lying_log(&from, &plan, 1, half);
        assert_eq!(check_log(&plan, &lie).unwrap(), MemberId(1), "well-formed, and signed");
        let wire = |message, bytes: &mut Vec<u8>| {
            if message == (Message::Log { dealer: 1 }) {
                bytes.clone_from(&lie);
            }
            true
        };
        let (outcome, _) = reshare(&from, &to, wire).unwrap();
        assert_eq!(outcome.faulty, [MemberId(1)]);
        assert_eq!(outcome.dealers, [0, 2, 3].map(MemberId));
        let (mut logs, _) = exchange(&from, &plan, &to, wire);
        logs.pop();
        let error = observe(&plan, refs(&logs)).unwrap_err();
        let ReshareError::TooFewLogs { found: 2, faulty, unavailable, .. } = error else { panic!("{error:?}") };
        assert_eq!((faulty, unavailable), (vec![MemberId(1)], vec![MemberId(3)]));
    }
}

#[test]
fn key_3_acknowledgements_for_other_dealings_are_not_taken() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let mut player = Player::start(&plan, &to[2]).unwrap();
    let (mut dealer, dealings) = from.dealer(&plan, 1);
    let ack = player.on_dealing(MemberId(1), &dealings[2]).unwrap();
    let (mut other, others) = from.dealer(&plan, 0);
    assert!(!other.on_ack(MemberId(2), &ack), "for another dealer");
    assert!(!dealer.on_ack(MemberId(1), &ack), "of another player");
    assert!(!dealer.on_ack(MemberId(4), &ack), "of nobody");
    let (first, second) = ack.split_at(64);
    assert!(!dealer.on_ack(MemberId(2), &[second, first].concat()), "halves swapped");
    assert_eq!(dealer.waiting().count(), 4);
    assert!(dealer.on_ack(MemberId(2), &ack));
    assert_eq!(dealer.waiting().collect::<Vec<_>>(), [0, 1, 3].map(MemberId));
    assert!(player.on_dealing(MemberId(0), &dealings[2]).is_none(), "said to be of another dealer");
    assert!(player.on_dealing(MemberId(0), &others[1]).is_none(), "for another player");
    assert!(player.on_dealing(MemberId(7), &others[2]).is_none(), "of nobody");
    let again = Dealer::start(&plan, &from.seeds[1], &from.secrets[1], &entropy(9)).unwrap().1;
    assert!(player.on_dealing(MemberId(1), &again[2]).is_none(), "a second dealing");
    assert_eq!(player.on_dealing(MemberId(1), &dealings[2]), Some(ack), "the first one again");
    assert!(player.on_dealing(MemberId(0), &others[2]).is_some());
}

#[test]
fn key_3_a_dealer_that_deals_twice_hurts_nobody_else() {
    // Players 0 and 1 get one dealing, players 2 and 3 another: neither log can name acknowledgements of all but f.
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let other = Dealer::start(&plan, &from.seeds[0], &from.secrets[0], &entropy(9)).unwrap().1;
    let wire = |message, bytes: &mut Vec<u8>| {
        if let Message::Dealing { dealer: 0, player: player @ 2..=3 } = message {
            bytes.clone_from(&other[usize::from(player)]);
        }
        true
    };
    let (outcome, _) = reshare(&from, &to, wire).unwrap();
    assert_eq!(outcome.dealers, [1, 2, 3].map(MemberId));
    // Only player 3 gets another one: its scalar of the first stands in the log, and it finishes with that.
    let wire = |message, bytes: &mut Vec<u8>| {
        if message == (Message::Dealing { dealer: 0, player: 3 }) {
            bytes.clone_from(&other[3]);
        }
        true
    };
    let (outcome, _) = reshare(&from, &to, wire).unwrap();
    assert_eq!(outcome.dealers, [0, 1, 2].map(MemberId));
    assert!(outcome.revealed.is_empty());
}

#[test]
fn key_3_two_logs_of_one_dealer_count_as_none_in_any_order() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (mut logs, players) = exchange(&from, &plan, &to, |_, _| true);
    let second = from.dealer(&plan, 2).0.seal();
    assert_eq!(check_log(&plan, &second).unwrap(), MemberId(2));
    logs.push(second);
    let outcome = observe(&plan, refs(&logs)).unwrap();
    assert_eq!((&outcome.dealers[..], &outcome.faulty[..]), (&[0, 1, 3].map(MemberId)[..], &[MemberId(2)][..]));
    logs.reverse();
    assert_eq!(observe(&plan, refs(&logs)).unwrap(), outcome);
    for player in players {
        assert_eq!(player.finish(&plan, refs(&logs)).unwrap().0, outcome);
    }
}

#[test]
fn key_6_logs_and_dealings_of_another_plan_are_refused() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let next = reshare(&from, &to, |_, _| true).unwrap().1;
    let members = publics(&from.seeds);
    let new = |network: &Hash, epoch, parts: &KeySetParts, to: &[Seed]| {
        Plan::new(network, (Epoch(epoch), 0), (&members, parts), &publics(to)).unwrap()
    };
    let others = [
        from.plan(1, &to),
        from.plan(0, &seeds(1..=4)),
        from.plan(0, &seeds(2..=8)),
        new(&NETWORK, 4, &from.parts, &to),
        new(&Hash([8; 32]), 3, &from.parts, &to),
        next.plan(0, &to),
    ];
    let names: BTreeSet<Hash> = others.iter().map(Plan::name).chain([plan.name()]).collect();
    assert_eq!(names.len(), 7);
    let mut player = Player::start(&plan, &to[1]).unwrap();
    for (at, other) in others.iter().enumerate() {
        let holders = if at == 5 { &next } else { &from };
        let (dealer, dealings) = holders.dealer(other, 0);
        let ack = player.on_dealing(MemberId(0), &dealings[1]);
        let log = dealer.seal();
        assert!(matches!(check_log(&plan, &log), Err(LogError::Signature | LogError::Malformed(_))), "{at}");
        assert!(observe(&plan, [log.as_slice()]).is_err());
        // The committee of the next epoch has other shares, and one of another size other degrees: those are refused at
        // once. A dealing names no plan; what it is acknowledged for does.
        assert!(ack.is_none() || !from.dealer(other, 0).0.on_ack(MemberId(1), &ack.unwrap()), "{at}");
        player = Player::start(&plan, &to[1]).unwrap();
    }
    let fresh = Round::new(&NETWORK, Secret::Decrypt, 768, &plan_keys(&from)).unwrap();
    let key = crate::party::consensus_key(&from.seeds[0]).unwrap();
    let log = crate::party::Dealing::start(&fresh, &key, &entropy(0)).unwrap().party.seal().0;
    assert!(matches!(plan.decrypt.round.open(&log), Err(LogError::Signature)));
}

fn plan_keys(holders: &Holders) -> Vec<PublicKey> {
    committee(Committee::Old, &publics(&holders.seeds)).unwrap().1
}

#[test]
fn key_3_mixed_and_misframed_logs_are_refused() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let half = |index: usize, half: &Half, bytes| {
        let key = crate::party::consensus_key(&from.seeds[index]).unwrap();
        let share = public::share(member_id(index), bytes).unwrap();
        DealerSide::start(&half.round, &key, &entropy(index), Some(share)).unwrap().dealer.seal()
    };
    let decrypt = half(0, &plan.decrypt, &from.secrets[0].decrypt);
    let beacon = |index: usize| half(index, &plan.beacon, &from.secrets[index].beacon);
    assert!(check_log(&plan, &outcome::join(decrypt.clone(), beacon(0))).is_ok());
    let check = |a: &[u8], b: &[u8]| check_log(&plan, &outcome::join(a.to_vec(), b.to_vec())).unwrap_err();
    assert!(matches!(check(&decrypt, &beacon(1)), LogError::Halves));
    assert!(matches!(check(&beacon(0), &decrypt), LogError::Signature));
    assert!(matches!(check(&decrypt, &decrypt), LogError::Signature));
    assert!(matches!(check(&decrypt, &[]), LogError::Malformed(_)));
    assert!(matches!(check(&[], &vec![0; LOG_BYTES_MAX]), LogError::Frame(_)));
    assert!(matches!(check_log(&plan, &[]), Err(LogError::Frame(_))));
    let longer = [decrypt.as_slice(), &[0]].concat();
    assert!(matches!(check(&longer, &beacon(0)), LogError::Malformed(_)));
}

#[test]
fn key_3_seeded_mutations_are_refused_without_a_panic() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (logs, _) = exchange(&from, &plan, &to, |_, _| true);
    let (outcome, next) = reshare(&from, &to, |_, _| true).unwrap();
    let share_key = ShareKey::sign(&outcome, &to[1], &next.secrets[1]).unwrap().bytes();
    let (mut dealer, dealings) = from.dealer(&plan, 0);
    let mut player = Player::start(&plan, &to[1]).unwrap();
    let ack = Player::start(&plan, &to[1]).unwrap().on_dealing(MemberId(0), &dealings[1]).unwrap();
    for case in 0u16..300 {
        let noise = crypto::hash::sha256(&[&case.to_le_bytes()]).0;
        let mutate = |good: &[u8]| {
            let mut bytes = good.to_vec();
            let at = usize::from(u16::from_le_bytes([noise[0], noise[1]])) % bytes.len();
            match noise[2] % 3 {
                0 => bytes[at] ^= 1 << (noise[3] % 8),
                1 => bytes.truncate(at),
                _ => bytes.splice(at..at, noise).for_each(drop),
            }
            bytes
        };
        assert!(player.on_dealing(MemberId(case % 5), &mutate(&dealings[1])).is_none(), "dealing {case}");
        assert!(!dealer.on_ack(MemberId(case % 5), &mutate(&ack)), "ack {case}");
        let log = mutate(&logs[0]);
        assert!(check_log(&plan, &log).is_err(), "log {case}");
        assert!(check_share_key(&outcome, &mutate(&share_key)).is_err(), "share key {case}");
        if case.is_multiple_of(30) {
            let set = [log.as_slice(), &logs[1], &logs[2], &logs[3]];
            assert_eq!(observe(&plan, set).unwrap().dealers, [1, 2, 3].map(MemberId));
        }
    }
    assert_eq!(player.on_dealing(MemberId(0), &dealings[1]), Some(ack.clone()), "nothing was spoiled");
    assert!(dealer.on_ack(MemberId(1), &ack));
}

#[test]
fn key_3_seeded_misbehaviour_of_f_old_and_f_new_members_is_survived() {
    // Each message of a bad member arrives, is lost, altered, cut, or another one of the same kind, as the seed says.
    let four = Holders::fresh(1..=4);
    let seven = Holders::fresh(1..=7);
    for (case, (from, to)) in (0u8..).zip([(&four, 2..=5), (&four, 3..=9), (&seven, 5..=8)].into_iter().cycle().take(6))
    {
        let to = seeds(to);
        let bad = |role: u8, n: usize| -> BTreeSet<u16> {
            let noise = crypto::hash::sha256(&[&[case, role]]).0;
            (0..(n - 1) / 3).map(|i| u16::from(noise[i]) % u16::try_from(n).unwrap()).collect()
        };
        let (bad_dealers, bad_players) = (bad(0, from.seeds.len()), bad(1, to.len()));
        let wire = |message: Message, bytes: &mut Vec<u8>| {
            let bad = match message {
                Message::Dealing { dealer, .. } | Message::Log { dealer } => bad_dealers.contains(&dealer),
                Message::Ack { player, .. } => bad_players.contains(&player),
            };
            let noise = crypto::hash::sha256(&[&[case], format!("{message:?}").as_bytes()]).0;
            let at = usize::from(u16::from_le_bytes([noise[0], noise[1]])) % bytes.len();
            match noise[2] % 4 {
                _ if !bad => {}
                0 => return false,
                1 => bytes[at] ^= 1 << (noise[3] % 8),
                2 => bytes.truncate(at),
                _ => {}
            }
            true
        };
        let (outcome, _) = reshare(from, &to, wire).unwrap_or_else(|error| panic!("case {case}: {error}"));
        let honest = |bad: &BTreeSet<u16>, named: &[MemberId]| named.iter().all(|member| bad.contains(&member.0));
        assert!(honest(&bad_dealers, &outcome.faulty), "case {case}: a dealer is named that was good");
        assert!(honest(&bad_players, &outcome.revealed), "case {case}: the share of a good player is revealed");
    }
}
