// Goal: of money that moves between pools. Method: the worked examples; random amounts up to the largest,
// where every part adds up to the whole, and a share is what long division by hand gives.
use super::*;
use crate::testing::amount;
use proptest::prelude::*;

fn params() -> Params {
    Params::default_for(500)
}

#[test]
fn a21_the_worked_example() {
    let split = split_price(&params(), amount(1_000));
    assert_eq!((split.committee, split.rollups, split.users), (amount(50), amount(450), amount(500)));
    assert_eq!(even_shares(split.committee, 4), (amount(12), amount(2)));
    assert_eq!(even_shares(amount(5), 0), (amount(0), amount(5)));
}

#[test]
fn a22_the_worked_example() {
    let fee = |units| FinalFee { fee: amount(units), failed: false };
    let rebates = rebates(&params(), amount(7 + 500), &[fee(300), fee(200), fee(101)]).unwrap();
    assert_eq!(rebates.shares, [amount(149), amount(99), amount(50)]);
    assert_eq!((rebates.paid, rebates.left), (amount(298), amount(209)));
}

#[test]
fn a22_a_failed_unit_leaves_its_part_in_the_pool() {
    let fee = |units, failed| FinalFee { fee: amount(units), failed };
    let rebates = rebates(&params(), amount(1_000), &[fee(300, false), fee(100, true)]).unwrap();
    assert_eq!(rebates.shares, [amount(150), amount(0)]);
    assert_eq!(rebates.left, amount(850));
}

#[test]
fn a19_the_worked_example() {
    let params = Params { reserve_floor: amount(100), ..params() };
    let mut average = Average::opening(&params);
    let (mut averages, mut reserves) = (Vec::new(), Vec::new());
    for mean in [1_000u128, 1_000, 0, 0, 0] {
        average = average.after(&params, mean * 120);
        averages.push(average.units());
        reserves.push(average.reserve(&params).units());
    }
    assert_eq!(averages, [300, 387, 338, 295, 258]);
    assert_eq!(reserves, [150, 193, 169, 147, 129]);
}

#[test]
fn a18_an_average_of_the_largest_prices_is_an_amount() {
    let largest = amount((1 << 96) - 1);
    let params = Params { reserve_floor: largest, epoch_slots: u64::from(u32::MAX), ..params() };
    let mut average = Average::opening(&params);
    for _ in 0..100 {
        average = average.after(&params, largest.units() * u128::from(u32::MAX));
        assert_eq!(average.reserve(&params), largest);
    }
    assert!(average.units() < 1 << 97);
}

#[test]
fn a23_the_rollups_pool_goes_by_weight_and_rounding_stays() {
    assert_eq!(pool_shares(amount(100), &[1, 1, 1]), [amount(33), amount(33), amount(33)]);
    assert_eq!(pool_shares(amount(100), &[3, 0, 1]), [amount(75), amount(0), amount(25)]);
    assert_eq!(pool_shares(amount(100), &[0, 0]), [amount(0), amount(0)]);
    assert_eq!(pool_shares(amount(100), &[]), []);
}

#[test]
fn a23_users_keep_kappa_of_the_fees() {
    assert_eq!(overflow_of_users(&params(), amount(700), 1_000), amount(200));
    assert_eq!(overflow_of_users(&params(), amount(500), 1_000), amount(0));
    assert_eq!(overflow_of_users(&params(), amount(500), u128::MAX), amount(0));
    assert_eq!(overflow_of_users(&params(), amount(500), 0), amount(500));
}

#[test]
fn rul_6_shares_of_the_largest_amounts_do_not_overflow() {
    let largest = amount((1 << 96) - 1);
    assert_eq!(share_floor(largest, largest, largest), largest);
    assert_eq!(share_floor(largest, amount((1 << 95) - 1), largest), amount((1 << 95) - 1));
    assert_eq!(share_floor(largest, amount(1), amount(3)).units(), ((1u128 << 96) - 1) / 3);
    assert_eq!(share_floor(largest, amount(5), amount(0)), amount(0));
}

/// a x b as (high, low 96 bits), by halves of 48 bits.
fn product(a: u128, b: u128) -> (u128, u128) {
    let halves = |n: u128| (n >> 48, n & ((1 << 48) - 1));
    let ((a1, a0), (b1, b0)) = (halves(a), halves(b));
    let middle = a1 * b0 + a0 * b1;
    let low = ((middle & ((1 << 48) - 1)) << 48) + a0 * b0;
    (a1 * b1 + (middle >> 48) + (low >> 96), low & ((1 << 96) - 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    // share x of <= whole x part < (share + 1) x of, over products of two limbs.
    #[test]
    fn rul_6_a_share_is_the_floor(whole in 0u128..1 << 96, one in 0u128..1 << 96, other in 1u128..1 << 96) {
        let (part, of) = (one.min(other), one.max(other));
        let share = share_floor(amount(whole), amount(part), amount(of)).units();
        prop_assert!(product(share, of) <= product(whole, part));
        prop_assert!(product(share + 1, of) > product(whole, part));
    }

    #[test]
    fn a21_parts_add_up_to_the_price(price in 0u128..1 << 96, users in 0u16..=10_000, rest in 0u16..=10_000) {
        let rollups = rest.min(10_000 - users);
        let params = Params {
            price_users_bps: users,
            price_rollups_bps: rollups,
            price_committee_bps: 10_000 - users - rollups,
            ..params()
        };
        let split = split_price(&params, amount(price));
        prop_assert_eq!(Amount::sum([split.users, split.rollups, split.committee]), Some(amount(price)));
        prop_assert!(split.users >= amount(price).bps_floor(users), "rounding is the users'");
    }

    #[test]
    fn a22_nobody_gets_more_than_kappa_of_its_fee(
        pool in 0u128..1 << 96,
        draws in proptest::collection::vec((0u128..1 << 90, any::<bool>()), 0..12),
        kappa in 0u16..=10_000,
    ) {
        let params = Params { rebate_cap_bps: kappa, ..params() };
        let of = |(fee, failed): &(u128, bool)| FinalFee { fee: amount(*fee), failed: *failed };
        let fees: Vec<FinalFee> = draws.iter().map(of).collect();
        let rebates = rebates(&params, amount(pool), &fees).unwrap();
        prop_assert_eq!(rebates.paid.checked_add(rebates.left), Some(amount(pool)));
        prop_assert_eq!(Amount::sum(rebates.shares.iter().copied()), Some(rebates.paid));
        for (fee, share) in fees.iter().zip(&rebates.shares) {
            prop_assert!(*share <= fee.fee.bps_floor(kappa));
            prop_assert!(!fee.failed || *share == Amount::ZERO);
        }
    }

    // Whoever pads a slot with its own units, even the slot's builder together with a third of the members, gets back
    // at most nine tenths of what the padding pays, whatever is in the pool: uncapped, sqrt(u P F) - F of padding would
    // pay.
    #[test]
    fn x18_a22_a25_padding_never_pays(
        pool in 0u128..1 << 80,
        honest in 0u128..1 << 70,
        padding in 1u128..1 << 70,
        beta in 0u16..=8_500,
        kappa in any::<u16>(),
    ) {
        // the largest kappa that A-25 lets in with this beta, or less
        let kappa = kappa % ((17_000 - 2 * beta) / 3 + 1).min(10_001);
        let params = Params { builder_fee_bps: beta, rebate_cap_bps: kappa, ..params() };
        let fee = |units| FinalFee { fee: amount(units), failed: false };
        let rebate = rebates(&params, amount(pool), &[fee(honest), fee(padding)]).unwrap().shares[1].units();
        let committee = amount(padding).bps_floor(10_000 - beta).units();
        let back = rebate + (padding - committee) + committee / 3;
        // one base unit of the builder's share comes from rounding
        prop_assert!(10 * back <= 9 * padding + 10, "{back} of {padding}");
        // and it takes from honest payers' rebates, never adds to them
        let alone = rebates(&params, amount(pool), &[fee(honest)]).unwrap().shares[0];
        let beside = rebates(&params, amount(pool), &[fee(honest), fee(padding)]).unwrap().shares[0];
        prop_assert!(beside <= alone);
    }

    #[test]
    fn a23_shares_never_exceed_the_pool(
        pool in 0u128..1 << 96,
        weights in proptest::collection::vec(any::<u32>(), 0..20),
    ) {
        let shares = pool_shares(amount(pool), &weights);
        prop_assert!(Amount::sum(shares.iter().copied()).is_some_and(|paid| paid <= amount(pool)));
    }
}
