// Goal: whoever writes these rules again can check it without our code. Method: worked examples, edges and seeded
// random cases stand in tests/vectors/auction with what they give; the crate gives the same, and so does
// tests/auction_resolve.py, which shares no code with it. A file that nobody reads is a failure.
use crate::{
    AuctionTerms, Average, Bid, FinalFee, pool_shares, rebates, resolve,
    root::sha256,
    split_price,
    testing::{amount, name},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use types::{Address, Amount, Hash, Params, Pricing};

const FILES: [&str; 5] = ["rebates.json", "reserve.json", "resolve.json", "split.json", "weights.json"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/auction")
}

/// A file of ours: compared with what the code gives, or written under `UPDATE_VECTORS=1`.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not configuration")]
fn ours(file: &str, cases: Vec<(String, Value, Value)>) {
    assert!(FILES.contains(&file));
    let case = |(name, case, outcome)| json!({ "name": name, "case": case, "outcome": outcome });
    let value = Value::Array(cases.into_iter().map(case).collect());
    let path = folder().join(file);
    if std::env::var("UPDATE_VECTORS").is_ok() {
        let mut text = serde_json::to_string_pretty(&value).unwrap();
        text.push('\n');
        std::fs::write(path, text).unwrap();
    } else {
        let stored: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(stored, value, "{file}: UPDATE_VECTORS=1 writes it anew");
    }
}

/// Numbers from a seed: SHA-256 in counter mode.
struct Draw {
    seed: Hash,
    count: u64,
}

impl Draw {
    fn new(seed: &str) -> Self {
        Self { seed: name(seed), count: 0 }
    }
    fn hash(&mut self) -> Hash {
        self.count += 1;
        sha256(&[self.seed.as_bytes(), &self.count.to_be_bytes()])
    }
    fn below(&mut self, end: u128) -> u128 {
        let hash = self.hash();
        u128::from_be_bytes(hash.0[..16].try_into().unwrap()) % end
    }
    /// Amounts of every length.
    fn amount(&mut self) -> Amount {
        let bits = self.below(97);
        amount(self.below(1 << bits))
    }
}

fn text(amount: Amount) -> Value {
    Value::String(amount.to_string())
}

fn texts(amounts: &[Amount]) -> Value {
    amounts.iter().map(|amount| text(*amount)).collect()
}

fn resolve_case(name: &str, beacon: &Hash, terms: &AuctionTerms, bids: &[Bid]) -> (String, Value, Value) {
    let one = |bid: &Bid| {
        let (bidder, opened) = (bid.bidder.to_string(), bid.opened.map(text));
        json!({ "bidder": bidder, "seq": bid.seq, "cap": text(bid.cap), "amount": opened })
    };
    let case = json!({
        "beacon": beacon.to_string(),
        "reserve": text(terms.reserve),
        "pricing": if terms.pricing == Pricing::First { "first" } else { "second" },
        "bid_fee": text(terms.bid_fee),
        "garbage_fine": text(terms.garbage_fine),
        "bids": bids.iter().map(one).collect::<Vec<_>>(),
    });
    let resolution = resolve(beacon, terms, bids);
    let judged = bids.iter().zip(&resolution.bids).map(|(bid, judged)| {
        json!({
            "bidder": bid.bidder.to_string(),
            "seq": bid.seq,
            "valid": judged.verdict.is_valid(),
            "reason": judged.verdict.name(),
            "fee": text(judged.fee),
            "fine": text(judged.fine),
            "price": text(judged.price),
        })
    });
    let outcome = json!({
        "winner": resolution.winner.map(|winner| winner.to_string()),
        "price": text(resolution.price),
        "equivocators": resolution.equivocators.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "bids": judged.collect::<Vec<_>>(),
    });
    (name.to_string(), case, outcome)
}

#[test]
fn a16_vectors_of_resolutions() {
    let beacon = name("lockstep/test-beacon");
    let [a, b, c] = [0xaa, 0xbb, 0xcc].map(|byte| Address([byte; 20]));
    let bid = |bidder, units| Bid { bidder, seq: 0, cap: amount(10), opened: Some(amount(units)) };
    let second = |reserve| AuctionTerms {
        pricing: Pricing::Second,
        reserve: amount(reserve),
        bid_fee: amount(1),
        garbage_fine: amount(10),
    };
    let first = AuctionTerms { pricing: Pricing::First, ..second(2) };
    let largest = amount((1 << 96) - 1);
    let tie = [bid(a, 10), bid(b, 10), bid(c, 3)];
    let named: Vec<(&str, AuctionTerms, Vec<Bid>)> = vec![
        ("a tie pays the tie, order 123", second(2), vec![tie[0], tie[1], tie[2]]),
        ("a tie pays the tie, order 132", second(2), vec![tie[0], tie[2], tie[1]]),
        ("a tie pays the tie, order 213", second(2), vec![tie[1], tie[0], tie[2]]),
        ("a tie pays the tie, order 231", second(2), vec![tie[1], tie[2], tie[0]]),
        ("a tie pays the tie, order 312", second(2), vec![tie[2], tie[0], tie[1]]),
        ("a tie pays the tie, order 321", second(2), vec![tie[2], tie[1], tie[0]]),
        ("a tie at the first price", first, tie.to_vec()),
        ("no bids", second(2), vec![]),
        ("a lone bid pays the reserve", second(2), vec![bid(a, 10)]),
        ("a lone bid at the reserve", second(2), vec![bid(a, 2)]),
        ("a lone bid below the reserve", second(2), vec![bid(a, 1)]),
        ("the second bidder's amount", second(2), vec![bid(a, 10), bid(c, 3)]),
        ("the reserve above the second bid", second(5), vec![bid(a, 10), bid(c, 3)]),
        ("above its cap", second(2), vec![bid(a, 11), bid(c, 3)]),
        ("above its cap, below the reserve", second(20), vec![bid(a, 11)]),
        ("at its cap", second(2), vec![bid(a, 10)]),
        ("garbage", second(2), vec![Bid { opened: None, ..bid(a, 0) }, bid(c, 3)]),
        ("garbage alone", second(2), vec![Bid { opened: None, ..bid(a, 0) }]),
        ("its own lower seq is no rival", second(2), vec![bid(a, 10), Bid { seq: 1, ..bid(a, 4) }, bid(c, 3)]),
        (
            "the highest seq counts though it offers less",
            second(2),
            vec![Bid { seq: 2, ..bid(a, 3) }, Bid { seq: 1, ..bid(a, 9) }, bid(c, 4)],
        ),
        (
            "garbage does not bring a replaced bid back",
            second(2),
            vec![bid(a, 10), Bid { seq: 1, opened: None, ..bid(a, 0) }, bid(c, 3)],
        ),
        ("two bids of one seq", second(2), vec![bid(a, 10), bid(a, 9), bid(c, 3)]),
        (
            "two bids of one seq below the highest",
            second(2),
            vec![bid(a, 10), bid(a, 9), Bid { seq: 1, ..bid(a, 8) }, bid(c, 3)],
        ),
        ("everybody equivocates", second(2), vec![bid(a, 10), bid(a, 10), bid(b, 9), bid(b, 8)]),
        ("a reserve of nothing", second(0), vec![bid(a, 0)]),
        (
            "largest amounts",
            second(0),
            vec![
                Bid { cap: largest, opened: Some(largest), ..bid(a, 0) },
                Bid { cap: largest, opened: Some(amount((1 << 96) - 2)), ..bid(b, 0) },
            ],
        ),
    ];
    let mut cases: Vec<_> =
        named.into_iter().map(|(name, terms, bids)| resolve_case(name, &beacon, &terms, &bids)).collect();
    let mut draw = Draw::new("vectors of resolutions");
    for number in 0..60 {
        let beacon = draw.hash();
        let terms = AuctionTerms {
            pricing: if draw.below(3) == 0 { Pricing::First } else { Pricing::Second },
            reserve: amount(draw.below(6)),
            bid_fee: amount(draw.below(3)),
            garbage_fine: amount(5 + draw.below(5)),
        };
        let (count, names) = (draw.below(12), 2 + draw.below(8));
        let bids: Vec<Bid> = (0..count)
            .map(|_| Bid {
                bidder: Address([u8::try_from(draw.below(names)).unwrap() + 1; 20]),
                seq: u8::try_from(draw.below(4)).unwrap(),
                cap: amount(4 + draw.below(8)),
                opened: (draw.below(8) > 0).then(|| amount(draw.below(12))),
            })
            .collect();
        cases.push(resolve_case(&std::format!("random {number}"), &beacon, &terms, &bids));
    }
    ours("resolve.json", cases);
}

#[test]
fn a19_vectors_of_reserves() {
    let case = |name: &str, floor: Amount, slots: u64, prices: &[u128]| {
        let params = Params { reserve_floor: floor, epoch_slots: slots, ..Params::default_for(500) };
        let mut average = Average::opening(&params);
        let (mut averages, mut reserves) = (Vec::new(), Vec::new());
        for prices in prices {
            average = average.after(&params, *prices);
            averages.push(average.units().to_string());
            reserves.push(text(average.reserve(&params)));
        }
        let prices: Vec<String> = prices.iter().map(ToString::to_string).collect();
        (
            name.to_string(),
            json!({ "reserve_floor": text(floor), "epoch_slots": slots, "prices": prices }),
            json!({ "averages": averages, "reserves": reserves }),
        )
    };
    let mut cases = vec![
        case("the worked example", amount(100), 100, &[100_000, 100_000, 0, 0, 0]),
        case("nothing is sold", amount(100), 16, &[0, 0, 0]),
        case("a floor of nothing", amount(0), 16, &[159, 160, 0]),
        case("largest prices", amount((1 << 96) - 1), 16, &[((1 << 96) - 1) * 16, 0]),
    ];
    let mut draw = Draw::new("vectors of reserves");
    for number in 0..12 {
        let slots = 16 + u64::try_from(draw.below(200)).unwrap();
        let floor = amount(draw.below(1 << 50));
        let prices: Vec<u128> = (0..8).map(|_| draw.below(1 << 60) * u128::from(slots) / 2).collect();
        cases.push(case(&std::format!("random {number}"), floor, slots, &prices));
    }
    ours("reserve.json", cases);
}

#[test]
fn a21_vectors_of_splits() {
    let case = |name: &str, price: Amount, rollups: u16, committee: u16| {
        let params = Params {
            price_users_bps: 10_000 - rollups - committee,
            price_rollups_bps: rollups,
            price_committee_bps: committee,
            ..Params::default_for(500)
        };
        let split = split_price(&params, price);
        (
            name.to_string(),
            json!({ "price": text(price), "rollups_bps": rollups, "committee_bps": committee }),
            json!({ "committee": text(split.committee), "rollups": text(split.rollups), "users": text(split.users) }),
        )
    };
    let mut cases = vec![
        case("the worked example", amount(1_000), 4_500, 500),
        case("nothing", amount(0), 4_500, 500),
        case("rounding is the users'", amount(1), 4_500, 500),
        case("largest price", amount((1 << 96) - 1), 3_333, 3_333),
    ];
    let mut draw = Draw::new("vectors of splits");
    for number in 0..12 {
        let rollups = u16::try_from(draw.below(10_001)).unwrap();
        let committee = u16::try_from(draw.below(u128::from(10_001 - rollups))).unwrap();
        cases.push(case(&std::format!("random {number}"), draw.amount(), rollups, committee));
    }
    ours("split.json", cases);
}

#[test]
fn a22_vectors_of_rebates() {
    let case = |name: &str, pool: Amount, kappa: u16, fees: &[FinalFee]| {
        let params = Params { rebate_cap_bps: kappa, ..Params::default_for(500) };
        let rebates = rebates(&params, pool, fees).unwrap();
        let of = |fee: &FinalFee| json!({ "fee": text(fee.fee), "failed": fee.failed });
        (
            name.to_string(),
            json!({ "pool": text(pool), "kappa_bps": kappa, "fees": fees.iter().map(of).collect::<Vec<_>>() }),
            json!({ "shares": texts(&rebates.shares), "left": text(rebates.left) }),
        )
    };
    let fee = |units| FinalFee { fee: amount(units), failed: false };
    let mut cases = vec![
        case("the worked example", amount(507), 5_000, &[fee(300), fee(200), fee(101)]),
        case("no fees", amount(507), 5_000, &[]),
        case("fees of nothing", amount(507), 5_000, &[fee(0), fee(0)]),
        case("a pool below the cap", amount(10), 5_000, &[fee(300), fee(200)]),
        case("a failed unit", amount(507), 5_000, &[fee(300), FinalFee { failed: true, ..fee(101) }]),
        case("largest amounts", amount((1 << 96) - 1), 10_000, &[fee((1 << 95) - 1), fee(1 << 95)]),
    ];
    let mut draw = Draw::new("vectors of rebates");
    for number in 0..12 {
        let fees: Vec<FinalFee> = (0..draw.below(8))
            .map(|_| FinalFee { fee: amount(draw.below(1 << 92)), failed: draw.below(5) == 0 })
            .collect();
        let kappa = u16::try_from(draw.below(10_001)).unwrap();
        cases.push(case(&std::format!("random {number}"), draw.amount(), kappa, &fees));
    }
    ours("rebates.json", cases);
}

#[test]
fn a23_vectors_of_the_rollups_pool() {
    let case = |name: &str, pool: Amount, weights: &[u32]| {
        let shares = pool_shares(pool, weights);
        let left = pool.checked_sub(Amount::sum(shares.iter().copied()).unwrap()).unwrap();
        (
            name.to_string(),
            json!({ "pool": text(pool), "weights": weights }),
            json!({ "shares": texts(&shares), "left": text(left) }),
        )
    };
    let mut cases = vec![
        case("three of one weight", amount(100), &[1, 1, 1]),
        case("a new rollup has weight 0", amount(100), &[3, 0, 1]),
        case("nobody has weight", amount(100), &[0]),
        case("largest pool", amount((1 << 96) - 1), &[u32::MAX, u32::MAX, 1]),
    ];
    let mut draw = Draw::new("vectors of weights");
    for number in 0..8 {
        let weights: Vec<u32> = (0..draw.below(9)).map(|_| u32::try_from(draw.below(1 << 32)).unwrap()).collect();
        cases.push(case(&std::format!("random {number}"), draw.amount(), &weights));
    }
    ours("weights.json", cases);
}

#[test]
fn every_file_is_read() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "ORIGIN")
        .collect();
    names.sort();
    assert_eq!(names, FILES);
}

#[test]
fn another_implementation_gives_the_same() {
    let script = folder().join("../../auction_resolve.py");
    match Command::new("python3").arg(script).arg(folder()).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            assert!(said.contains("cases of 5 files agree"), "{said}");
        }
        Err(why) => std::println!("SKIPPED python3: {why}"),
    }
}
