//! The text of a receipt (log.md section 5). It is signed as a C2SP signed note by `sequencer`, checked by `verifier`.
use crate::{Hash, Slot, Timestamp};
use alloc::{format, string::String};
use core::fmt;

/// What a receipt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    /// An envelope.
    Envelope,
    /// A bid.
    Bid,
}

/// A member's promise to list an item (log.md section 5 says what exactly).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// `<origin>/m<i>/receipt`: the name of the key that signs.
    pub name: String,
    /// What it is for.
    pub kind: ReceiptKind,
    /// Envelope or bid hash.
    pub item: Hash,
    /// Network id.
    pub network: Hash,
    /// The giver's last final slot.
    pub last_final: Slot,
    /// The next list that it has not signed.
    pub list_from: Slot,
    /// The slot by which all honest lists have it.
    pub admit_by: Slot,
    /// The last slot that may include it.
    pub expires: Slot,
    /// Rises with every receipt of the giver.
    pub seq: u64,
    /// The giver's clock, in whole seconds.
    pub time: Timestamp,
}

/// Why a text is no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// A line is missing, extra, or out of place.
    #[error("receipt line missing or out of place")]
    Line,
    /// A value does not parse, or another text has the same meaning.
    #[error("receipt value not canonical")]
    Value,
}

impl fmt::Display for ReceiptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "envelope",
            Self::Bid => "bid",
        })
    }
}

fn bare(hash: &Hash) -> String {
    let text = format!("{hash}");
    text.strip_prefix("0x").map(String::from).unwrap_or(text)
}

impl Receipt {
    /// The note's text: eleven lines, each ended by a newline.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\nlockstep-receipt v1\nkind {}\nitem {}\nnetwork {}\nfinal {}\nlist-from {}\nadmit-by {}\nexpires {}\nseq {}\ntime {}\n",
            self.name,
            self.kind,
            bare(&self.item),
            bare(&self.network),
            self.last_final,
            self.list_from,
            self.admit_by,
            self.expires,
            self.seq,
            self.time.0.checked_div(1_000).unwrap_or(0),
        )
    }

    /// Parses a text and refuses any that it would not have written.
    ///
    /// # Errors
    /// [`ReceiptError`]; nothing is repaired.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let mut lines = text.lines();
        let name = lines.next().ok_or(ReceiptError::Line)?;
        if lines.next() != Some("lockstep-receipt v1") {
            return Err(ReceiptError::Line);
        }
        let mut field = |key: &str| -> Result<&str, ReceiptError> {
            lines.next().and_then(|l| l.strip_prefix(key)).and_then(|l| l.strip_prefix(' ')).ok_or(ReceiptError::Line)
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_digits| ReceiptError::Value);
        let hash = |text: &str| Hash::from_hex(text).map_err(|_hex| ReceiptError::Value);
        let kind = match field("kind")? {
            "envelope" => ReceiptKind::Envelope,
            "bid" => ReceiptKind::Bid,
            _ => return Err(ReceiptError::Value),
        };
        let receipt = Self {
            name: name.into(),
            kind,
            item: hash(field("item")?)?,
            network: hash(field("network")?)?,
            last_final: Slot(number(field("final")?)?),
            list_from: Slot(number(field("list-from")?)?),
            admit_by: Slot(number(field("admit-by")?)?),
            expires: Slot(number(field("expires")?)?),
            seq: number(field("seq")?)?,
            time: Timestamp(number(field("time")?)?.checked_mul(1_000).ok_or(ReceiptError::Value)?),
        };
        if receipt.text() == text { Ok(receipt) } else { Err(ReceiptError::Value) }
    }
}

#[cfg(test)]
mod tests {
    // Goal: TYP-1 for receipts.
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            name: "example.net/test/m3/receipt".into(),
            kind: ReceiptKind::Envelope,
            item: Hash([0xab; 32]),
            network: Hash([1; 32]),
            last_final: Slot(812_342),
            list_from: Slot(812_343),
            admit_by: Slot(812_344),
            expires: Slot(812_400),
            seq: 99_812,
            time: Timestamp(1_795_211_490_000),
        }
    }

    #[test]
    fn typ_1_a_receipt_reads_back() {
        assert_eq!(Receipt::parse(&receipt().text()), Ok(receipt()));
    }

    #[test]
    fn typ_1_another_spelling_is_refused() {
        let text = receipt().text();
        assert_eq!(Receipt::parse(&text.replace("seq 99812", "seq 099812")), Err(ReceiptError::Value));
        assert_eq!(Receipt::parse(&text.replace("abab", "ABAB")), Err(ReceiptError::Value));
        assert_eq!(Receipt::parse(&text.replace("kind envelope\n", "")), Err(ReceiptError::Line));
        assert_eq!(Receipt::parse(text.trim_end()), Err(ReceiptError::Value));
    }
}
