//! Receipts given, for duplicates: two generations, the older forgotten when the younger is full.
use dashmap::DashMap;
use sha2::{Digest as _, Sha256};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use types::{Envelope, Hash, codec, tag};

/// Envelope hash -> the receipt's note. Looked up by key only.
#[derive(Debug)]
pub(crate) struct Receipts {
    generations: [DashMap<Hash, String>; 2],
    young: AtomicUsize,
    turning: Mutex<()>,
    keep: usize,
}

impl Receipts {
    pub(crate) fn new(keep: usize) -> Self {
        Self { generations: Default::default(), young: AtomicUsize::new(0), turning: Mutex::default(), keep }
    }

    fn pair(&self) -> (&DashMap<Hash, String>, &DashMap<Hash, String>) {
        let [a, b] = &self.generations;
        if self.young.load(Ordering::Acquire) == 0 { (a, b) } else { (b, a) }
    }

    /// Keeps the first receipt of an envelope; a second one changes nothing.
    pub(crate) fn remember(&self, hash: Hash, note: String) {
        if self.get(&hash).is_some() {
            return;
        }
        let (young, _) = self.pair();
        young.entry(hash).or_insert(note);
        if young.len() >= self.keep {
            let _one_at_a_time = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
            let (young, old) = self.pair();
            if young.len() >= self.keep {
                old.clear();
                self.young.fetch_xor(1, Ordering::AcqRel);
            }
        }
    }

    pub(crate) fn get(&self, hash: &Hash) -> Option<String> {
        let (young, old) = self.pair();
        young.get(hash).or_else(|| old.get(hash)).map(|note| note.clone())
    }
}

/// The envelope hash (wallets-and-builders.md section 5): SHA-256(tag | codec(signed header) | SHA-256(ciphertext)).
pub(crate) fn envelope_hash(envelope: &Envelope) -> Hash {
    let hash = Sha256::new()
        .chain_update(tag::ENVELOPE)
        .chain_update(codec::encode(&envelope.signed))
        .chain_update(Sha256::digest(&envelope.ciphertext));
    Hash(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    // Goal: ING-5 on the index alone: the first receipt stays, the index stays small.
    use super::*;

    #[test]
    fn ing_5_the_first_receipt_stays() {
        let receipts = Receipts::new(4);
        receipts.remember(Hash([1; 32]), "first".into());
        receipts.remember(Hash([1; 32]), "second".into());
        assert_eq!(receipts.get(&Hash([1; 32])).as_deref(), Some("first"));
        assert_eq!(receipts.get(&Hash([2; 32])), None);
    }

    #[test]
    fn ing_3_at_most_two_generations_are_kept() {
        let receipts = Receipts::new(4);
        for i in 0..100u8 {
            receipts.remember(Hash([i; 32]), i.to_string());
            assert_eq!(receipts.get(&Hash([i; 32])), Some(i.to_string()));
            assert!(receipts.generations.iter().map(DashMap::len).sum::<usize>() <= 8);
        }
        assert_eq!(receipts.get(&Hash([96; 32])).as_deref(), Some("96"), "the generation before is still there");
        assert_eq!(receipts.get(&Hash([1; 32])), None);
    }
}
