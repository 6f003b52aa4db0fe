//! Each call of `main` does the next step on `COUNT` envelopes; who calls it takes the time. A step that fails traps.
#![expect(clippy::expect_used, reason = "what does not hold ends it")]

use crypto::{
    dealer::{Deal, Voters, deal},
    keys::KeySet,
    tdh2::{self, Admitted, HeldShares, Item},
};
use std::cell::RefCell;
use types::{Hash, MemberId, Opening, Slot};
use zeroize::Zeroizing;

const COUNT: u8 = 64;
const AAD: [u8; 100] = [0xad; 100];

struct State {
    step: u32,
    deal: Deal,
    keys: Option<KeySet>,
    sealed: Vec<Vec<u8>>,
    openings: Vec<Opening>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

fn items(sealed: &[Vec<u8>]) -> Vec<Item<'_>> {
    sealed.iter().map(|ciphertext| Item { aad: &AAD, class_bytes: 512, ciphertext }).collect()
}

/// By three of four members, as a slot is opened.
fn opened(deal: &Deal, keys: &KeySet, sealed: &[Vec<u8>]) -> Vec<Opening> {
    let items = items(sealed);
    let admitted: Vec<Admitted> = tdh2::admit(keys.encryption_key(), &items, [1; 32])
        .into_iter()
        .map(|verdict| verdict.expect("what was sealed is admitted"))
        .collect();
    let mut units: Vec<Hash> = sealed.iter().map(|ciphertext| crypto::ids::ciphertext_hash(ciphertext)).collect();
    let named = units.clone();
    units.sort();
    let fixed = Voters::new(4, 1, &[9; 32]).fix(Hash([1; 32]), Slot(1), units, Vec::new());
    let share = |(member, key): (u16, &crypto::keys::DecryptionShareKey)| {
        let held = key.share_all(named.iter().copied().zip(&admitted));
        (MemberId(member), HeldShares::collect(held).release(&fixed).expect("every unit is in the fixed set"))
    };
    let shares: Vec<_> = (0..).zip(deal.decrypt.iter().take(3)).map(share).collect();
    let pairs: Vec<_> = items.into_iter().zip(&admitted).collect();
    tdh2::reveal(keys, &pairs, &shares, [1; 32]).expect("good shares").openings
}

fn main() {
    STATE.with_borrow_mut(|state| match state {
        None => {
            let deal = deal(4, 1, &[7; 32]);
            *state = Some(State { step: 0, deal, keys: None, sealed: Vec::new(), openings: Vec::new() });
        }
        Some(state) => {
            state.step += 1;
            state.run();
        }
    });
}

impl State {
    fn run(&mut self) {
        match (self.step, &self.keys) {
            // key set and its tables
            (1, _) => self.keys = Some(self.deal.key_set()),
            (2, Some(keys)) => {
                let seal = |at: u8| {
                    let padded = tdh2::pad(&[at; 100], 512).expect("it fits");
                    tdh2::seal(keys.encryption_key(), Zeroizing::new([at; 32]), &AAD, &padded)
                };
                self.sealed = (0..COUNT).map(seal).collect();
            }
            // as members do: the keys that the log will hold
            (3, Some(keys)) => {
                self.openings = opened(&self.deal, keys, &self.sealed);
            }
            // the auditor
            (4, Some(keys)) => {
                let checked = tdh2::check_openings(keys, &items(&self.sealed), &self.openings, [2; 32]);
                assert!(checked.iter().all(|opened| matches!(opened, Ok(Some(_)))));
            }
            _ => {
                let keys = self.keys.as_ref().expect("made in the first step");
                assert!(tdh2::admit(keys.encryption_key(), &items(&self.sealed), [3; 32]).iter().all(Result::is_ok));
            }
        }
    }
}
