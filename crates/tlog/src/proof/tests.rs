// Goal: TLG-1 for proofs, and that no wrong proof passes. Method: ct-merkle at every small size, tlog_tiles across
// tile boundaries, every single change of a true proof.
use super::*;
use crate::{
    Tree,
    checkpoint::tests::committee,
    tiles::{Edge, NodeReader, Tile},
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use std::{collections::BTreeMap, vec};
use types::MemberId;

fn entry(i: u64) -> Vec<u8> {
    i.to_be_bytes().to_vec()
}

struct Fixture {
    files: BTreeMap<Tile, Vec<u8>>,
    size: u64,
}

impl Fixture {
    fn new(size: u64) -> Self {
        let entries: Vec<_> = (0..size).map(entry).collect();
        Self { files: Edge::new().append(&entries).unwrap().into_iter().collect(), size }
    }
    fn nodes(&self) -> NodeReader<impl FnMut(&Tile) -> Result<Vec<u8>, &'static str>> {
        NodeReader::new(self.size, |tile: &Tile| self.files.get(tile).cloned().ok_or("missing"))
    }
}

fn head_of(size: u64) -> Head {
    heads_of(&[size])[0]
}

/// Heads at ascending sizes, in one pass.
fn heads_of(sizes: &[u64]) -> Vec<Head> {
    let mut tree = Tree::new();
    let head = |size: &u64| {
        (tree.size()..*size).for_each(|i| {
            tree.append(&entry(i));
        });
        tree.head()
    };
    sizes.iter().map(head).collect()
}

fn flat(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn tlg_1_inclusion_equals_ct_merkle_at_every_size() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 1..=70u64 {
        theirs.push(entry(size - 1));
        let fixture = Fixture::new(size);
        let head = head_of(size);
        let mut nodes = fixture.nodes();
        assert_eq!(super::head(size, |node| nodes.node(node)), Ok(head));
        for index in 0..size {
            let path = inclusion(size, index, |node| nodes.node(node)).unwrap();
            let want = theirs.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(flat(&path), want.as_bytes(), "{index} of {size}");
            assert!(verify_inclusion(&head, index, &entry(index), &path));
            assert!(!verify_inclusion(&head, index, &entry(index + 1), &path));
            assert!(!verify_inclusion(&head, index + 1, &entry(index), &path));
        }
        assert_eq!(inclusion(size, size, |node| nodes.node(node)), Err(ProveError::OutOfRange));
    }
}

#[test]
fn tlg_1_consistency_equals_ct_merkle_at_every_pair() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let heads = heads_of(&(0..=40).collect::<Vec<_>>());
    for new in 1..=40u64 {
        theirs.push(entry(new - 1));
        let fixture = Fixture::new(new);
        let mut nodes = fixture.nodes();
        let new_head = heads[usize::try_from(new).unwrap()];
        for old in 1..=new {
            let proof = consistency(old, new, |node| nodes.node(node)).unwrap();
            let want = theirs.prove_consistency(usize::try_from(new - old).unwrap());
            assert_eq!(flat(&proof), want.as_bytes(), "{old} {new}");
            let old_head = heads[usize::try_from(old).unwrap()];
            assert!(verify_consistency(&old_head, &new_head, &proof), "{old} {new}");
            // Every single change must fail.
            for i in 0..proof.len() {
                let mut bad = proof.clone();
                bad[i].0[7] ^= 1;
                assert!(!verify_consistency(&old_head, &new_head, &bad), "{old} {new} hash {i}");
                bad.remove(i);
                assert!(!verify_consistency(&old_head, &new_head, &bad), "{old} {new} without hash {i}");
            }
            let mut longer = proof.clone();
            longer.push(Hash::ZERO);
            assert!(!verify_consistency(&old_head, &new_head, &longer));
            let mut other = old_head;
            other.root.0[0] ^= 1;
            assert!(!verify_consistency(&other, &new_head, &proof));
            let mut other = new_head;
            other.root.0[0] ^= 1;
            assert!(!verify_consistency(&old_head, &other, &proof));
            if old < new {
                assert!(!verify_consistency(&new_head, &old_head, &proof));
            }
        }
        assert!(verify_consistency(&heads[0], &new_head, &[]));
        assert!(!verify_consistency(&Head { size: 0, root: Hash::ZERO }, &new_head, &[]));
        assert!(!verify_consistency(&heads[0], &new_head, &[Hash::ZERO]));
        assert_eq!(consistency(0, new, |node| nodes.node(node)), Err(ProveError::OutOfRange));
        assert_eq!(consistency(new + 1, new, |node| nodes.node(node)), Err(ProveError::OutOfRange));
    }
}

#[test]
fn tlg_1_proofs_across_tiles_pass_go() {
    let size = 66_000;
    let fixture = Fixture::new(size);
    let olds = [1, 255, 256, 300, 65_535, 65_536, 65_537, 65_999];
    let mut heads = heads_of(&[&olds[..], &[size]].concat());
    let head = heads.pop().unwrap();
    let root = tlog_tiles::Hash(head.root.0);
    let hashes = |path: &[Hash]| path.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect::<Vec<_>>();
    let mut nodes = fixture.nodes();
    for index in [0, 1, 255, 256, 257, 65_535, 65_536, 65_999] {
        let path = inclusion(size, index, |node| nodes.node(node)).unwrap();
        let leaf = tlog_tiles::record_hash(&entry(index));
        tlog_tiles::check_record(&hashes(&path), size, root, index, leaf).unwrap();
        assert!(verify_inclusion(&head, index, &entry(index), &path));
    }
    for (old, old_head) in olds.into_iter().zip(heads) {
        let proof = consistency(old, size, |node| nodes.node(node)).unwrap();
        assert_eq!(super::head(old, |node| nodes.node(node)), Ok(old_head));
        tlog_tiles::check_tree(&hashes(&proof), size, root, old, tlog_tiles::Hash(old_head.root.0)).unwrap();
        assert!(verify_consistency(&old_head, &head, &proof));
    }
}

#[test]
fn a_missing_tile_is_an_error_not_a_proof() {
    let mut fixture = Fixture::new(600);
    fixture.files.remove(&Tile::at(crate::tiles::Level::Hashes(0), 1, 600).unwrap());
    let mut nodes = fixture.nodes();
    assert!(inclusion(600, 300, |node| nodes.node(node)).is_err());
    assert!(inclusion(600, 3, |node| nodes.node(node)).is_ok());
}

fn tlog_proof(extra: Option<Vec<u8>>) -> (Policy, TlogProof) {
    let committee = committee(4, 1);
    let fixture = Fixture::new(70);
    let mut nodes = fixture.nodes();
    let path = inclusion(70, 33, |node| nodes.node(node)).unwrap();
    let checkpoint = committee.checkpoint(&head_of(70), &[0, 2, 3]);
    (committee.policy, TlogProof { extra, index: 33, path, checkpoint })
}

#[test]
fn tlg_2_a_tlog_proof_reads_back_and_verifies() {
    for extra in [None, Some(vec![]), Some(vec![1, 2, 3])] {
        let (policy, proof) = tlog_proof(extra);
        let text = proof.text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\n"));
        assert_eq!(TlogProof::parse(text.as_bytes()).as_ref(), Ok(&proof));
        let included = proof.verify(&policy, &entry(33)).unwrap();
        assert_eq!((included.index, included.verified.head), (33, head_of(70)));
        assert_eq!(included.verified.cosigners, [MemberId(0), MemberId(2), MemberId(3)]);
        assert_eq!(proof.verify(&policy, &entry(34)), Err(ProofError::Path));
        let mut wrong = proof.clone();
        wrong.index = 32;
        assert_eq!(wrong.verify(&policy, &entry(33)), Err(ProofError::Path));
        let other = committee(4, 1).with_origin("example.net/other");
        assert_eq!(proof.verify(&other, &entry(33)), Err(ProofError::Head(HeadError::Origin)));
    }
}

#[test]
fn tlg_2_other_texts_are_no_tlog_proof() {
    let (_, proof) = tlog_proof(Some(vec![9]));
    let text = proof.text();
    let hash_line = text.lines().nth(3).unwrap();
    for bad in [
        text.replace("@v1", "@v2"),
        text.replace("index 33", "index 033"),
        text.replace("index 33", "index +33"),
        text.replace("index 33", "index"),
        text.replace("index 33\n", ""),
        text.replace("extra CQ==", "extra CQ"),
        text.replace("extra CQ==", "extra CR=="),
        text.replace("extra CQ==\n", "extra CQ==\nextra CQ==\n"),
        text.replace(hash_line, "AAAA"),
        text.replace(hash_line, &std::format!("{hash_line} ")),
        text.replace("\n\n", "\n"),
        text.replace('\n', "\r\n"),
        text.replace(hash_line, &std::format!("{hash_line}\n").repeat(65)),
        String::new(),
    ] {
        assert_eq!(TlogProof::parse(bad.as_bytes()), Err(ProofError::Format), "{bad}");
    }
    assert_eq!(TlogProof::parse(&vec![b'a'; PROOF_BYTES_MAX + 1]), Err(ProofError::Format));
    assert_eq!(TlogProof::parse(&[0xff, 0xfe]), Err(ProofError::Format));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn a_changed_proof_file_is_refused_or_proves_the_same(place in 0usize..2_000, byte in any::<u8>()) {
        let (policy, proof) = fixture();
        let mut bytes = proof.text().into_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        // `extra` is absent here, so nothing in the file is a mere hint but lines of keys that nobody knows.
        if let Ok(parsed) = TlogProof::parse(&bytes) && parsed.verify(policy, &entry(33)).is_ok() {
            prop_assert_eq!((parsed.index, parsed.path), (proof.index, proof.path.clone()));
        }
    }
}

fn fixture() -> &'static (Policy, TlogProof) {
    static FIXTURE: std::sync::OnceLock<(Policy, TlogProof)> = std::sync::OnceLock::new();
    FIXTURE.get_or_init(|| tlog_proof(None))
}
