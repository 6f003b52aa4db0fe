//! `lockstep auction resolve`: one auction outside any network, by the same function that nodes and auditors call.
//!
//! For whoever wants to recompute an auction by hand: a case is what the log holds of it, in plain numbers.
use crate::{
    cli::{Failure, print},
    files,
};
use auction_rules::{AuctionTerms, Bid, Resolution, resolve};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};
use std::path::PathBuf;
use types::{Address, Amount, Hash, Pricing};

/// A case, bytes.
const CASE_BYTES_MAX: usize = 8 << 20;
/// Bids of a case.
const CASE_BIDS_MAX: usize = 16_384;

/// Arguments of `lockstep auction`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AuctionArgs {
    #[command(subcommand)]
    command: AuctionCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum AuctionCommand {
    /// Resolve one auction from a JSON case: winner, price, and what became of each bid.
    Resolve(ResolveArgs),
}

/// Arguments of `lockstep auction resolve`.
#[derive(Clone, Debug, clap::Args)]
struct ResolveArgs {
    /// {"beacon": hex of 32 bytes, "reserve": "int", "bids": [{"bidder": "0x..", "seq": n, "cap": "int", "amount":
    /// "int" or null for garbage}]}, and perhaps "pricing": "second" or "first", "bid_fee": "int", "garbage_fine":
    /// "int".
    case: PathBuf,
}

/// Why a file is no case.
#[derive(Debug, thiserror::Error)]
enum CaseError {
    /// Not JSON, a field is missing, unknown or out of range.
    #[error("no case: {0}")]
    Malformed(#[from] serde_json::Error),
    /// More bids than an auction can have.
    #[error("{0} bids are more than {CASE_BIDS_MAX}")]
    TooManyBids(usize),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    beacon: Hash,
    #[serde(deserialize_with = "units")]
    reserve: Amount,
    #[serde(default)]
    pricing: CasePricing,
    #[serde(default, deserialize_with = "units_or_null")]
    bid_fee: Option<Amount>,
    #[serde(default, deserialize_with = "units_or_null")]
    garbage_fine: Option<Amount>,
    bids: Vec<CaseBid>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CasePricing {
    #[default]
    Second,
    First,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseBid {
    bidder: Address,
    seq: u8,
    #[serde(deserialize_with = "units")]
    cap: Amount,
    // named, or the field could be left out and would be garbage
    #[serde(deserialize_with = "units_or_null")]
    amount: Option<Amount>,
}

/// A decimal number below 2^96, as text; as a JSON number where it fits 64 bits.
#[derive(Deserialize)]
#[serde(untagged)]
enum Units {
    Text(String),
    Number(u64),
}

impl Units {
    fn amount<E: de::Error>(self) -> Result<Amount, E> {
        let units = match self {
            Self::Number(units) => Some(u128::from(units)),
            Self::Text(text) if text.bytes().all(|c| c.is_ascii_digit()) => text.parse().ok(),
            Self::Text(_) => None,
        };
        units.and_then(Amount::new).ok_or_else(|| E::custom("an amount is a decimal number below 2^96"))
    }
}

fn units<'de, D: Deserializer<'de>>(d: D) -> Result<Amount, D::Error> {
    Units::deserialize(d)?.amount()
}

fn units_or_null<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Amount>, D::Error> {
    Option::<Units>::deserialize(d)?.map(Units::amount).transpose()
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: status 66 when the file cannot be read, 64 when it is no case.
pub(crate) fn run(args: &AuctionArgs) -> Result<(), Failure> {
    let AuctionCommand::Resolve(ResolveArgs { case }) = &args.command;
    let bytes = files::read(case, CASE_BYTES_MAX)?;
    let outcome = resolved(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", case.display())))?;
    print(format_args!("{outcome:#}"));
    Ok(())
}

fn resolved(bytes: &[u8]) -> Result<Value, CaseError> {
    let case: Case = serde_json::from_slice(bytes)?;
    if case.bids.len() > CASE_BIDS_MAX {
        return Err(CaseError::TooManyBids(case.bids.len()));
    }
    let pricing = match case.pricing {
        CasePricing::Second => Pricing::Second,
        CasePricing::First => Pricing::First,
    };
    let terms = AuctionTerms {
        pricing,
        reserve: case.reserve,
        bid_fee: case.bid_fee.unwrap_or_default(),
        garbage_fine: case.garbage_fine.unwrap_or_default(),
    };
    let bid = |bid: &CaseBid| Bid { bidder: bid.bidder, seq: bid.seq, cap: bid.cap, opened: bid.amount };
    let bids: Vec<Bid> = case.bids.iter().map(bid).collect();
    Ok(printed(&case, &terms, &bids, &resolve(&case.beacon, &terms, &bids)))
}

/// Fees and fines as amounts only where the case says what they are.
fn printed(case: &Case, terms: &AuctionTerms, bids: &[Bid], resolution: &Resolution) -> Value {
    let judged = bids.iter().zip(&resolution.bids).map(|(bid, judged)| {
        let mut out = json!({
            "bidder": bid.bidder,
            "seq": bid.seq,
            "cap": bid.cap,
            "amount": bid.opened,
            "valid": judged.verdict.is_valid(),
            "reason": judged.verdict.name(),
            "fined": judged.verdict.is_fined(),
            "price": judged.price,
        });
        if let (Some(out), Some(_)) = (out.as_object_mut(), case.bid_fee) {
            out.insert("fee".into(), json!(judged.fee));
        }
        if let (Some(out), Some(_)) = (out.as_object_mut(), case.garbage_fine) {
            out.insert("fine".into(), json!(judged.fine));
        }
        out
    });
    json!({
        "winner": resolution.winner,
        "price": resolution.price,
        "pricing": if terms.pricing == Pricing::First { "first" } else { "second" },
        "reserve": terms.reserve,
        "equivocators": resolution.equivocators,
        "bids": judged.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    // Goal: a case gives what the vectors say, whatever is no case is refused by name. Method: every case of
    // tests/vectors/auction/resolve.json through the command's own path; planted faults.
    use super::*;

    #[test]
    fn cases_end_as_the_vectors_say() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/auction/resolve.json");
        let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(cases.len() > 80);
        for case in cases {
            let mut got = resolved(&serde_json::to_vec(&case["case"]).unwrap()).unwrap();
            assert_eq!(got["pricing"], case["case"]["pricing"]);
            assert_eq!(got["reserve"], case["case"]["reserve"]);
            got.as_object_mut().unwrap().retain(|key, _| key != "pricing" && key != "reserve");
            for bid in got["bids"].as_array_mut().unwrap() {
                bid.as_object_mut().unwrap().retain(|key, _| !["cap", "amount", "fined"].contains(&key.as_str()));
            }
            assert_eq!(got, case["outcome"], "{}", case["name"]);
        }
    }

    fn case() -> Value {
        let bid = |byte: &str, amount: Value| {
            let bidder = format!("0x{}", byte.repeat(20));
            json!({ "bidder": bidder, "seq": 0, "cap": "10", "amount": amount })
        };
        let bids = [bid("aa", json!("10")), bid("bb", json!(10)), bid("cc", json!("3")), bid("dd", Value::Null)];
        json!({ "beacon": "42".repeat(32), "reserve": "2", "bids": bids })
    }

    fn of(case: &Value) -> Result<Value, CaseError> {
        resolved(case.to_string().as_bytes())
    }

    #[test]
    fn the_shortest_case_needs_no_more_than_beacon_reserve_and_bids() {
        let outcome = of(&case()).unwrap();
        assert_eq!(outcome["price"], "10");
        assert_eq!(outcome["bids"][2]["reason"], "OUTBID");
        assert_eq!(outcome["bids"][3]["reason"], "GARBAGE");
        assert_eq!((&outcome["bids"][3]["valid"], &outcome["bids"][3]["fined"]), (&json!(false), &json!(true)));
        assert_eq!(outcome["bids"][3].get("fine"), None, "the case does not say how much");
        let nobody = of(&json!({ "beacon": "42".repeat(32), "reserve": "2", "bids": [] })).unwrap();
        assert_eq!((&nobody["winner"], &nobody["price"]), (&Value::Null, &json!("0")));
    }

    #[test]
    fn whatever_is_no_case_is_refused() {
        let with = |at: &str, value: Value| {
            let mut case = case();
            *case.pointer_mut(at).unwrap() = value;
            of(&case)
        };
        for (at, value) in [
            ("/beacon", json!("42")),
            ("/reserve", json!("-1")),
            ("/reserve", json!("+1")),
            ("/reserve", json!("1.0")),
            ("/reserve", json!("0x10")),
            ("/reserve", json!("")),
            ("/reserve", json!(-1)),
            ("/reserve", Value::Null),
            ("/reserve", json!((1u128 << 96).to_string())),
            ("/bids", json!({})),
            ("/bids/0/bidder", json!("0xaa")),
            ("/bids/0/seq", json!(256)),
            ("/bids/0/seq", json!("0")),
            ("/bids/0/cap", Value::Null),
            ("/bids/0/amount", json!("9".repeat(40))),
        ] {
            assert!(matches!(with(at, value.clone()), Err(CaseError::Malformed(_))), "{at} = {value}");
        }
        assert!(with("/reserve", json!(((1u128 << 96) - 1).to_string())).is_ok());
        let mut missing = case();
        missing["bids"][0].as_object_mut().unwrap().remove("amount");
        assert!(matches!(of(&missing), Err(CaseError::Malformed(_))), "nothing is garbage by omission");
        let mut misspelt = case();
        misspelt["princing"] = json!("first");
        assert!(matches!(of(&misspelt), Err(CaseError::Malformed(_))));
        let mut crowd = case();
        crowd["bids"] = json!(vec![crowd["bids"][0].clone(); CASE_BIDS_MAX + 1]);
        assert!(matches!(of(&crowd), Err(CaseError::TooManyBids(_))));
        assert!(matches!(resolved(b"{"), Err(CaseError::Malformed(_))));
    }
}
