// Goal: a change in a file says what it changes, keeps signatures that hold and no others, and is refused when it
// breaks a rule, with what to do. Method: keys from seeds, copies signed apart, files altered.
use super::{
    page::{self, EpochPage},
    proposal::{Proposal, ProposalError},
    propose::{build, with_params},
    show,
    submit::operation_bytes,
};
use crypto::{change::ChangeError, ed25519::SigningKey};
use std::path::Path;
use types::{
    Amount, Change, Epoch, EpochRecord, G1Bytes, G2Bytes, Hash, Joining, MemberId, MemberRecord, Operation, Params,
    Seat, SetRef, Signature, SignedChange, Slot, VoteSig, limits,
};
use zeroize::Zeroizing;

mod flow;

/// The last epoch that changes here may be for.
const UNTIL: Epoch = Epoch(9);

fn key(seed: u8, of: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed, of].repeat(16).try_into().unwrap()))
}

fn consensus(seed: u8) -> SigningKey {
    key(seed, 0)
}

fn member(seed: u8) -> MemberRecord {
    let public = |of| key(seed, of).public();
    MemberRecord {
        name: format!("m{seed}"),
        consensus: public(0),
        log: public(1),
        cosigner: public(2),
        receipt: public(3),
        tls: public(4),
    }
}

fn joining(seed: u8) -> Joining {
    let at = |port: u8| format!("10.0.0.{seed}:{port}");
    Joining { record: member(seed), p2p: at(1), quic: at(2), http: at(3) }
}

fn committee(seeds: core::ops::RangeInclusive<u8>) -> Vec<MemberRecord> {
    let mut members: Vec<_> = seeds.map(member).collect();
    members.sort_by_key(|member| member.consensus);
    members
}

/// An epoch with the members 1 to 4.
pub(super) fn epoch() -> EpochRecord {
    EpochRecord {
        epoch: Epoch(4),
        first_slot: Slot(480),
        last_slot: Slot(599),
        network: Hash([7; 32]),
        prev: Hash::ZERO,
        rules: Hash::ZERO,
        since: Epoch(0),
        f: 1,
        members: committee(1..=4),
        decrypt: vec![G1Bytes([0; 48]); 3],
        decrypt_g2: G2Bytes([0; 96]),
        share_keys_g2: vec![G2Bytes([0; 96]); 4],
        beacon: vec![G1Bytes([0; 48]); 3],
        revealed: Vec::new(),
        params: Params::default_for(500),
        registry: SetRef::EMPTY,
        reserve: Amount::ZERO,
        ledger: Hash::ZERO,
        states: Hash::ZERO,
    }
}

/// Members leave and others join.
fn proposal(remove: &[&str], add: &[u8]) -> Result<Proposal, String> {
    let current = epoch();
    let remove: Vec<String> = remove.iter().map(ToString::to_string).collect();
    let add = add.iter().map(|seed| joining(*seed)).collect();
    let params = current.params.clone();
    build(&current, UNTIL, &remove, add, params).map_err(|error| error.to_string())
}

/// Through the file's bytes.
fn reread(proposal: &Proposal) -> Proposal {
    Proposal::parse(&proposal.to_bytes().unwrap()).unwrap()
}

fn text(proposal: &Proposal) -> String {
    show::lines(proposal).into_iter().map(|(label, text)| format!("{label}: {text}\n")).collect()
}

#[test]
fn a_change_is_complete_with_a_quorum_and_the_word_of_each_that_joins() {
    let mut change = proposal(&["m2", "m3"], &[5, 6]).unwrap();
    let verify = |change: &Proposal| crypto::change::verify(&change.signed(), &epoch());
    for (signed, seed) in (0..).zip([4, 2, 1]) {
        assert_eq!(verify(&change), Err(ChangeError::Approvals(signed)));
        change.approve(&consensus(seed)).unwrap();
        // again: nothing more
        change.approve(&consensus(seed)).unwrap();
        change = reread(&change);
    }
    assert!(matches!(verify(&change), Err(ChangeError::Acceptance(0))), "nobody has accepted");
    change.accept(&consensus(6)).unwrap();
    change = reread(&change);
    assert!(!change.is_complete());
    assert!(verify(&change).is_err());
    let shown = text(&change);
    assert!(shown.contains("missing: acceptance of m5\n") && shown.contains("accepted: m6\n"), "{shown}");
    change.accept(&consensus(5)).unwrap();
    change = reread(&change);
    assert!(change.is_complete());
    assert_eq!(verify(&change).unwrap(), change.next);
    assert_eq!(change.next.len(), 4);
}

#[test]
fn copies_signed_apart_merge_into_one() {
    let start = proposal(&["m1"], &[5]).unwrap();
    let signed_by = |seeds: &[u8]| {
        let mut copy = reread(&start);
        for seed in seeds {
            copy.approve(&consensus(*seed)).unwrap();
        }
        copy
    };
    let mut accepted = reread(&start);
    accepted.accept(&consensus(5)).unwrap();
    let mut all = signed_by(&[1, 2]);
    for copy in [signed_by(&[2, 3]), accepted.clone(), signed_by(&[]), accepted] {
        all.merge(reread(&copy)).unwrap();
    }
    assert!(all.is_complete() && all.left_out.is_empty());
    let signed = all.signed();
    assert_eq!(signed.approvals.len(), 3, "each member once");
    assert!(signed.approvals.is_sorted_by(|a, b| a.member < b.member));
    crypto::change::verify(&signed, &epoch()).unwrap();
}

#[test]
fn a_copy_of_another_change_does_not_merge() {
    let mut change = proposal(&["m1"], &[5]).unwrap();
    let mut other = proposal(&["m1"], &[6]).unwrap();
    other.approve(&consensus(2)).unwrap();
    let before = change.clone();
    assert!(matches!(change.merge(other), Err(ProposalError::Other)));
    assert_eq!(change, before);
}

#[test]
fn an_altered_change_loses_its_signatures_and_says_so() {
    let mut change = proposal(&["m1"], &[5]).unwrap();
    change.approve(&consensus(2)).unwrap();
    change.accept(&consensus(5)).unwrap();
    let mut signed = change.signed();
    signed.change.params.count_limit += 1;
    signed.approvals.push(VoteSig { member: MemberId(77), sig: Signature::ZERO });
    let altered = Proposal::check(epoch(), signed).unwrap();
    assert!(altered.approvals.is_empty() && altered.acceptances == [None]);
    let left_out = altered.left_out.join("; ");
    for what in ["approval of m2: does not", "approval of member 77: no such", "acceptance of m5: does not"] {
        assert!(left_out.contains(what), "{left_out}");
    }
}

#[test]
fn a_good_signature_counts_whatever_stands_beside_it() {
    let mut change = proposal(&["m1"], &[5]).unwrap();
    let index = change.approve(&consensus(2)).unwrap();
    let mut signed = change.signed();
    let good = signed.approvals.clone();
    signed.approvals = [VoteSig { member: index, sig: Signature::ZERO }].into_iter().chain(good.clone()).collect();
    assert_eq!(Proposal::check(epoch(), signed.clone()).unwrap().signed().approvals, good);
    signed.approvals.reverse();
    assert_eq!(Proposal::check(epoch(), signed).unwrap().signed().approvals, good);
}

#[test]
fn a_file_with_another_epoch_than_the_change_names_is_refused() {
    let change = proposal(&["m1"], &[5]).unwrap();
    let mut current = epoch();
    current.members[0].name = "somebody else".into();
    assert!(matches!(Proposal::check(current, change.signed()), Err(ProposalError::Current)));
    let mut current = epoch();
    current.f = 0;
    assert!(matches!(Proposal::check(current, change.signed()), Err(ProposalError::Current)), "one approval is none");
    let mut signed = change.signed();
    signed.change.until = Epoch(4);
    let refused = Proposal::check(epoch(), signed);
    assert!(matches!(refused, Err(ProposalError::Rule(ChangeError::Late))), "{refused:?}");
    let later = EpochRecord { epoch: Epoch(5), prev: Hash([1; 32]), ..epoch() };
    assert!(Proposal::check(later, change.signed()).is_ok(), "of what this epoch has, in whatever epoch");
    let mut signed = change.signed();
    signed.acceptances.clear();
    assert!(matches!(Proposal::check(epoch(), signed), Err(ProposalError::Acceptances(0, 1))));
}

#[test]
fn only_members_approve_and_only_who_joins_accepts() {
    let mut change = proposal(&["m1"], &[5]).unwrap();
    assert!(change.approve(&consensus(1)).is_ok(), "who leaves is a member still");
    assert!(matches!(change.approve(&consensus(5)), Err(ProposalError::NoMember(..))));
    assert!(matches!(change.accept(&consensus(2)), Err(ProposalError::NotJoining(_))));
    assert!(matches!(change.accept(&consensus(9)), Err(ProposalError::NotJoining(_))));
}

#[test]
fn a_committee_that_is_not_3f_plus_1_is_refused_with_what_to_do() {
    for (remove, add, help) in [
        (&["m1"][..], &[][..], "add 1 more, or remove fewer"),
        (&[], &[5], "add 2 more, or remove 1 more"),
        (&[], &[5, 6], "add 1 more, or remove 2 more"),
        (&["m1", "m2", "m3", "m4"], &[], "add 4 more"),
    ] {
        let error = proposal(remove, add).unwrap_err();
        assert!(error.contains("3f + 1") && error.contains(help), "{error}");
    }
    assert_eq!(proposal(&[], &[5, 6, 7]).unwrap().next.len(), 7);
    let many: Vec<u8> = (5..=130).collect();
    assert!(proposal(&[], &many).unwrap_err().contains("remove 3 more"), "130 members");
}

#[test]
fn a_change_that_does_not_fit_the_log_with_all_signatures_is_not_proposed() {
    // the longest texts there may be
    let long = |seed: u8| {
        let long = |port: u8| format!("{}.{seed}:{port}", "a".repeat(58));
        let record = MemberRecord { name: format!("{:a<64}", member(seed).name), ..member(seed) };
        Joining { record, p2p: "[1234:1234:1234:1234:1234:1234:1234:1234]:12345".into(), quic: long(2), http: long(3) }
    };
    let replace = |current: &EpochRecord, seeds: core::ops::RangeInclusive<u8>| {
        let all: Vec<String> = current.members.iter().map(|member| member.name.clone()).collect();
        let built = build(current, UNTIL, &all, seeds.map(long).collect(), current.params.clone());
        built.map(|change| change.next.len()).map_err(|error| error.to_string())
    };
    let mut current = epoch();
    assert_eq!(replace(&current, 5..=104), Ok(100));
    (current.members, current.f) = (committee(1..=127), 42);
    let error = replace(&current, 128..=254).unwrap_err();
    assert!(error.contains("change fewer members at a time"), "{error}");
}

#[test]
fn who_leaves_and_who_joins_is_told_apart() {
    assert!(proposal(&["m9"], &[5]).unwrap_err().contains("there are m"));
    assert!(proposal(&[], &[]).unwrap_err().contains("nothing changes"));
    assert!(proposal(&[], &[4, 5, 6]).unwrap_err().contains("m4 has the consensus key of a member that stays"));
    assert!(proposal(&[], &[5, 5, 6]).unwrap_err().contains("m5 has the consensus key"));
    let by_key = proposal(&[&member(1).consensus.to_string()], &[5]).unwrap();
    assert_eq!(by_key.change, proposal(&["m1", "m1"], &[5]).unwrap().change);
    let current = epoch();
    let build_with = |name: &str| {
        let mut new = joining(5);
        new.record.name = name.into();
        build(&current, UNTIL, &["m1".into()], vec![new], current.params.clone())
    };
    assert!(build_with("m2").unwrap_err().to_string().contains("would be called m2"));
    assert!(build_with("a b").is_err(), "a name that no node takes");
    let rotated = build_with("m1").unwrap();
    assert!(text(&rotated).contains("leaves: m1 (") && text(&rotated).contains("joins: m1 ("), "new keys, same name");
    let mut twins = current.clone();
    let name = twins.members[0].name.clone();
    twins.members[1].name.clone_from(&name);
    let error = build(&twins, UNTIL, &[name], vec![joining(5)], twins.params.clone()).unwrap_err();
    assert!(error.to_string().contains("consensus key instead"), "{error}");
}

#[test]
fn a_member_may_keep_its_consensus_key_and_change_the_others() {
    let current = epoch();
    let mut new = joining(5);
    new.record.consensus = member(1).consensus;
    let build = |remove: &[String]| build(&current, UNTIL, remove, vec![new.clone()], current.params.clone());
    let mut change = build(&["m1".into()]).unwrap();
    change.approve(&consensus(1)).unwrap();
    change.accept(&consensus(1)).unwrap();
    assert_eq!(change.acceptances.iter().flatten().count(), 1);
    assert!(build(&[]).is_err());
}

#[test]
fn who_joins_has_addresses_that_members_can_use() {
    let current = epoch();
    let with = |alter: fn(&mut Joining)| {
        let mut new = joining(5);
        alter(&mut new);
        build(&current, UNTIL, &["m1".into()], vec![new], current.params.clone()).map(|change| change.next.len())
    };
    assert!(with(|new| new.http = "node.example.org:80".into()).is_ok());
    let alterations: [fn(&mut Joining); 4] = [
        |new| new.p2p = "node.example.org:80".into(),
        |new| new.p2p = "10.0.0.5:0".into(),
        |new| new.quic = "10.0.0.5".into(),
        |new| new.http = "http://10.0.0.5:80".into(),
    ];
    for alter in alterations {
        let refused = with(alter).unwrap_err().to_string();
        assert!(refused.contains("address"), "{refused}");
    }
}

#[test]
fn parameters_change_by_name() {
    let current = epoch();
    let path = Path::new("params.toml");
    let with = |text: &str| with_params(&current.params, path, text.as_bytes());
    let params = with("count_limit = 9000\nmember_penalty = \"77\"").unwrap();
    let expected = Params { count_limit: 9_000, member_penalty: Amount::new(77).unwrap(), ..current.params.clone() };
    assert_eq!(params, expected);
    assert_eq!(with("").unwrap(), current.params);
    assert!(with("count_limitt = 1").unwrap_err().text.contains("count_limitt"));
    assert!(with("count_limit = \"many\"").is_err());
    let built = |params| build(&current, UNTIL, &[], Vec::new(), params);
    let change = built(params).unwrap();
    let shown = text(&change);
    assert!(shown.contains("parameter: count_limit: 4096 -> 9000\n"), "{shown}");
    assert!(shown.contains("parameter: member_penalty: 0 -> 77\n"), "{shown}");
    assert!(change.change.seats.iter().all(|seat| matches!(seat, Seat::Stays(_))));
    let refused = |text: &str| built(with(text).unwrap()).unwrap_err().to_string();
    assert!(refused("slot_ms = 400").contains("length of epochs or slots"));
    assert!(refused("count_limit = 0").contains("count_limit"));
}

#[test]
fn the_file_is_a_signed_change_and_becomes_the_operation() {
    let mut change = proposal(&["m1"], &[5]).unwrap();
    change.approve(&consensus(2)).unwrap();
    let read: SignedChange = serde_json::from_slice(&change.to_bytes().unwrap()).unwrap();
    assert_eq!(read, change.signed());
    let operation = types::codec::decode::<Operation>(&operation_bytes(read.clone()), limits::OPERATION_BYTES_MAX);
    assert_eq!(operation.unwrap(), Operation::Change(Box::new(read)));
}

#[test]
fn what_others_wrote_is_no_command_for_a_terminal() {
    let mut current = epoch();
    current.members[0].name = "\u{1b}[2J".into();
    let params = Params { count_limit: 1, ..current.params.clone() };
    let change = build(&current, UNTIL, &[], Vec::new(), params).unwrap();
    assert!(!text(&change).contains('\u{1b}'), "{:?}", text(&change));
}

#[test]
fn show_names_who_has_not_signed() {
    let mut change = proposal(&["m1"], &[5]).unwrap();
    change.approve(&consensus(2)).unwrap();
    let shown = text(&change);
    assert!(shown.contains("approved: 1 of 3 needed: m2\n"), "{shown}");
    let missing = shown.lines().find(|line| line.starts_with("missing: 2 approvals of: ")).unwrap();
    assert!(["m1", "m3", "m4"].iter().all(|name| missing.contains(name)) && !missing.contains("m2"), "{missing}");
    assert!(shown.contains("state: not complete\n") && shown.contains("missing: acceptance of m5\n"), "{shown}");
    assert!(shown.contains("p2p 10.0.0.5:1 quic 10.0.0.5:2 http 10.0.0.5:3"), "{shown}");
}

#[test]
fn a_change_of_nobody_known_is_no_change() {
    let change: Change = proposal(&["m1"], &[5]).unwrap().change;
    let text = serde_json::to_vec(&change).unwrap();
    assert!(matches!(Proposal::parse(&text), Err(ProposalError::Json(_))));
    assert!(matches!(Proposal::parse(b"{}"), Err(ProposalError::Json(_))));
}

#[test]
fn a_page_is_of_this_network_and_its_leaf_is_that_of_its_record() {
    let record = epoch();
    let good = EpochPage { leaf: page::leaf(&record), record, addresses: Vec::new() };
    let parse = |page: &EpochPage, network: u8| {
        EpochPage::parse(&serde_json::to_vec(page).unwrap(), &Hash([network; 32])).map(|page| page.leaf)
    };
    assert_eq!(parse(&good, 7), Ok(good.leaf));
    assert!(parse(&good, 8).is_err());
    let mut forged = good.clone();
    forged.record.f = 0;
    assert!(parse(&forged, 7).is_err());
}

#[test]
fn addresses_are_host_and_port() {
    for good in ["127.0.0.1:80", "[::1]:443", "node.example.org:27100"] {
        assert!(page::is_address(good), "{good}");
    }
    let long = format!("{}:80", "a".repeat(64));
    for bad in ["", ":80", "host", "host:0", "host:99999", "a b:80", "user@host:80", "host:80/path", &long] {
        assert!(!page::is_address(bad), "{bad}");
    }
}
