// Goal: weights are Lagrange's, small where the design says so, and whatever form they have gives one point. Method:
// integer against field weights for random sets, known sizes, and shares of a known secret.
use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

fn ids(indices: &[u16]) -> Vec<MemberId> {
    indices.iter().copied().map(MemberId).collect()
}

/// Bits of the largest numerator, and whether the denominator is 1; `None` for field weights.
fn shape(weights: &Weights) -> Option<(u32, bool)> {
    match &weights.kind {
        Kind::Integer { numerators, inverse } => {
            let most = numerators.iter().map(|(_, magnitude)| 128 - magnitude.leading_zeros()).max();
            Some((most.unwrap_or(0), inverse.is_none()))
        }
        Kind::Field(_) => None,
    }
}

#[test]
fn sizes_are_those_of_the_design() {
    for (q, bits) in [(3, 2), (11, 9), (43, 40), (86, 83)] {
        let first: Vec<u16> = (0..q).collect();
        assert_eq!(shape(&Weights::new(&ids(&first))), Some((bits, true)), "first {q}");
        let run: Vec<u16> = (0..q).map(|at| at + 3).collect();
        assert_eq!(shape(&Weights::new(&ids(&run))).map(|(_, one)| one), Some(true), "run of {q}");
    }
    let lambdas = Weights::new(&ids(&[0, 1, 2]));
    let Kind::Integer { numerators, inverse: None } = lambdas.kind else { panic!("integers") };
    assert_eq!(numerators, vec![(false, 3), (true, 3), (false, 1)]);
    // {1, 2, 4}: 8/3, -2, 1/3.
    let thirds = Weights::new(&ids(&[0, 1, 3]));
    let Kind::Integer { numerators, inverse: Some(inverse) } = thirds.kind else { panic!("over three") };
    assert_eq!(numerators, vec![(false, 8), (true, 6), (false, 1)]);
    assert!(inverse.mul(&Fr::reduce(&[3])) == Fr::reduce(&[1]));
}

#[test]
fn up_to_sixteen_members_a_set_with_whole_weights_is_found_if_there_is_one() {
    // Every arrival of 12 to 15 of 16; counted by a program with fractions: 19, 48, 72, 88 per cent of them have a set.
    for (count, want) in [(12, 337), (13, 267), (14, 86), (15, 14)] {
        let mut whole = 0;
        for mask in (0..1u32 << 16).filter(|mask| mask.count_ones() == count) {
            let arrived: Vec<u16> = (0..16).filter(|at| mask >> at & 1 == 1).collect();
            let chosen = choose(&ids(&arrived), 11).unwrap();
            assert!(chosen.len() == 11 && chosen.is_sorted_by(|a, b| a < b));
            let members: Vec<u16> = chosen.iter().map(|at| arrived[*at]).collect();
            whole += u32::from(shape(&Weights::new(&ids(&members))).is_some_and(|(_, one)| one));
        }
        assert_eq!(whole, want, "{count} arrived");
    }
    // Four of five with a gap: {1, 2, 3, 5} has denominators, and nothing else is there.
    assert_eq!(choose(&ids(&[0, 1, 2, 4]), 4), Some(vec![0, 1, 2, 3]));
}

#[test]
fn spread_sets_fall_back_to_field_weights() {
    let spread: Vec<u16> = (0..64).map(|at| at * 2).collect();
    assert_eq!(shape(&Weights::new(&ids(&spread))), None);
}

#[test]
fn consecutive_members_are_chosen_first() {
    assert_eq!(choose(&ids(&[0, 2, 3, 4]), 3), Some(vec![1, 2, 3]));
    assert_eq!(choose(&ids(&[0, 1, 3]), 3), Some(vec![0, 1, 2]));
    assert_eq!(choose(&ids(&[0, 1, 2, 3]), 3), Some(vec![0, 1, 2]));
    assert_eq!(choose(&ids(&[0, 1]), 3), None);
}

#[test]
fn many_items_are_combined_as_one_by_one_also_where_shares_are_equal_or_opposite() {
    let share = |j: usize, item: usize| {
        let at = match (item % 4, j) {
            // the third member's share is the first's, or its opposite
            (1 | 2, 2) => 0,
            _ => j,
        };
        let point = G1::hash(&[&at.to_le_bytes()[..], &item.to_le_bytes()[..]].concat(), b"items").affine()?;
        Some(if item % 4 == 2 && j == 2 { point.neg() } else { point })
    };
    let run = |start: u16, count: u16| (start..start + count).collect::<Vec<u16>>();
    let spread: Vec<u16> = (0..43).map(|at| at * 2 + at % 2).collect();
    let gap: Vec<u16> = run(0, 20).into_iter().chain(run(22, 23)).collect();
    for members in [run(0, 43), run(3, 86), spread, gap] {
        let weights = Weights::new(&ids(&members));
        for count in [1, 2, 3, 8, 13] {
            let got = weights.combine_all(count, share);
            for (item, got) in got.iter().enumerate() {
                let shares: Vec<G1Affine> = (0..members.len()).map(|j| share(j, item).unwrap()).collect();
                assert!(*got == weights.combine_g1(&shares), "{count} items of {} members", members.len());
            }
        }
    }
}

#[test]
fn sums_are_divided_alike_one_by_one_and_all_in_step() {
    crate::ffi::tests::say_if_narrow();
    let members = [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15];
    let weights = Weights::new(&ids(&members));
    assert_eq!(shape(&weights).map(|(_, whole)| whole), Some(false), "no whole weights");
    let bases: Vec<G1Affine> =
        (0..members.len()).map(|j| G1::hash(&j.to_le_bytes(), b"bases").affine().unwrap()).collect();
    let share = |j: usize, item: usize| {
        // two shares alike: no chord, and the lane is lost
        let at = if item == 7 && j == 1 { 0 } else { (j + item) % bases.len() };
        bases.get(at).copied()
    };
    for count in [63, 64, 70] {
        let check = || {
            for (item, got) in weights.combine_all(count, share).iter().enumerate() {
                let shares: Vec<G1Affine> = (0..members.len()).map(|j| share(j, item).unwrap()).collect();
                assert!(*got == weights.combine_g1(&shares), "item {item} of {count}");
            }
        };
        check();
        crate::ffi::tests::portably(check);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn integer_and_field_weights_give_the_secret(
        indices in proptest::collection::btree_set(0u16..128, 1..12),
        coefficients in proptest::collection::vec(any::<u64>(), 12),
    ) {
        let members: Vec<MemberId> = indices.into_iter().map(MemberId).collect();
        let polynomial: Vec<Fr> = coefficients.iter().take(members.len()).map(|c| Fr::reduce(&c.to_le_bytes())).collect();
        let value = |member: &MemberId| {
            let x = Fr::reduce(&(member.0 + 1).to_le_bytes());
            polynomial.iter().rev().fold(Fr::default(), |sum, c| sum.mul(&x).add(c))
        };
        let shares: Vec<G1Affine> =
            members.iter().map(|m| G1Affine::generator().mul(&value(m)).affine().unwrap_or(G1Affine::generator())).collect();
        let shares_g2: Vec<G2Affine> =
            members.iter().map(|m| G2Affine::generator().point().mul(&value(m)).affine().unwrap()).collect();
        let secret = G1Affine::generator().mul(&polynomial[0]);
        let secret_g2 = G2Affine::generator().point().mul(&polynomial[0]).affine();
        let field = Weights { kind: Kind::Field(Weights::field(&members)) };
        prop_assert!(Weights::new(&members).combine_g1(&shares) == secret);
        prop_assert!(field.combine_g1(&shares) == secret);
        prop_assert!(Weights::new(&members).combine_g2(&shares_g2).affine() == secret_g2);
        prop_assert!(field.combine_g2(&shares_g2).affine() == secret_g2);
    }
}
