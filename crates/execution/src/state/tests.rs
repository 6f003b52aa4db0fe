//! Goal: what a view shows and what a merge leaves is what Ethereum's state does. Method: overlays written by hand
//! against states built from nothing.
use super::*;
use proptest::prelude::*;
use revm::state::EvmStorageSlot;
use std::vec::Vec;

const ADDRESS: Address = Address::repeat_byte(7);

fn touched(balance: u64, slots: &[(u64, u64)]) -> TouchedAccount {
    let mut account =
        TouchedAccount::default().with_info(AccountInfo { balance: U256::from(balance), ..AccountInfo::default() });
    for (slot, value) in slots {
        let id = account.transaction_id;
        account.storage.insert(U256::from(*slot), EvmStorageSlot::new_changed(U256::MAX, U256::from(*value), id));
    }
    account.mark_touch();
    account
}

fn commit(overlay: &mut Overlay, account: TouchedAccount) {
    overlay.commit([(ADDRESS, account)].into_iter().collect());
}

fn state(balance: u64, slots: &[(u64, u64)]) -> State {
    let mut state = State::new();
    let slots = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value)));
    state.insert(ADDRESS, 0, U256::from(balance), Bytecode::default(), slots);
    state
}

fn shown(state: &State, overlay: &Overlay, slot: u64) -> (Option<U256>, U256) {
    let mut view = View { state, overlay, genesis: B256::ZERO };
    let info = view.basic(ADDRESS).unwrap();
    (info.map(|info| info.balance), view.storage(ADDRESS, U256::from(slot)).unwrap())
}

#[test]
fn an_untouched_account_shows_the_state_below() {
    let below = state(5, &[(1, 11)]);
    let mut overlay = Overlay::default();
    assert_eq!(shown(&below, &overlay, 1), (Some(U256::from(5)), U256::from(11)));
    let mut read_only = touched(9, &[]);
    read_only.unmark_touch();
    commit(&mut overlay, read_only);
    assert_eq!(shown(&below, &overlay, 1), (Some(U256::from(5)), U256::from(11)));
}

#[test]
fn written_slots_show_and_others_shine_through() {
    let below = state(5, &[(1, 11), (2, 22)]);
    let mut overlay = Overlay::default();
    commit(&mut overlay, touched(6, &[(1, 0), (3, 33)]));
    assert_eq!(shown(&below, &overlay, 1), (Some(U256::from(6)), U256::ZERO));
    assert_eq!(shown(&below, &overlay, 2).1, U256::from(22));
    assert_eq!(shown(&below, &overlay, 3).1, U256::from(33));
    let mut merged = below;
    merged.merge(overlay);
    assert_eq!(merged.root(), state(6, &[(2, 22), (3, 33)]).root());
}

#[test]
fn destroyed_and_empty_accounts_are_gone_with_their_storage() {
    let mut destroyed = touched(6, &[(4, 44)]);
    destroyed.mark_selfdestruct();
    for gone in [destroyed, touched(0, &[])] {
        let mut merged = state(5, &[(1, 11)]);
        merged.root();
        let mut overlay = Overlay::default();
        commit(&mut overlay, gone);
        assert_eq!(shown(&merged, &overlay, 1), (None, U256::ZERO));
        // Made again in the same unit, it starts with empty storage.
        let mut again = overlay.clone();
        commit(&mut again, touched(8, &[(2, 2)]));
        assert_eq!(shown(&merged, &again, 1), (Some(U256::from(8)), U256::ZERO));
        let mut remade = merged.clone();
        remade.merge(again);
        assert_eq!(remade.root(), state(8, &[(2, 2)]).root());
        merged.merge(overlay);
        assert_eq!(merged.root(), EMPTY_ROOT_HASH);
    }
}

#[test]
fn a_created_account_hides_the_storage_below() {
    let mut merged = state(5, &[(1, 11)]);
    merged.root();
    let mut overlay = Overlay::default();
    let mut created = touched(5, &[(2, 22)]);
    created.mark_created();
    commit(&mut overlay, created);
    assert_eq!(shown(&merged, &overlay, 1).1, U256::ZERO);
    merged.merge(overlay);
    assert_eq!(merged.root(), state(5, &[(2, 22)]).root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Kept storage roots never differ from a walk over everything.
    #[test]
    fn roots_after_any_merges_equal_a_state_built_at_once(
        writes in prop::collection::vec((0u8..6, 1u64..4, prop::collection::vec((0u64..5, 0u64..3), 0..4)), 1..12)
    ) {
        let mut kept = State::new();
        for (n, balance, slots) in writes {
            let mut overlay = Overlay::default();
            overlay.commit([(Address::repeat_byte(n), touched(balance, &slots))].into_iter().collect());
            kept.merge(overlay);
            let root = kept.root();
            let mut rebuilt = kept.clone();
            rebuilt.stale = true;
            rebuilt.accounts.values_mut().for_each(|account| account.storage_stale = true);
            prop_assert_eq!(root, rebuilt.root());
            // And equal to the trie that takes plain keys and hashes them itself.
            let plain: Vec<_> = kept.accounts.iter().map(|(key, a)| {
                let storage = alloy_trie::root::storage_root_unsorted(a.storage.iter().map(|(k, v)| (*k, *v)));
                (*key, TrieAccount::new(a.nonce, a.balance, storage, a.code_hash))
            }).collect();
            prop_assert_eq!(root, alloy_trie::root::state_root_unsorted(plain));
        }
    }
}
