//! Stable codes for everything that leaves the process: a number and a name, never reused, never renamed.
//! `docs/src/reason-codes.md` holds the same tables; a test compares them.

macro_rules! codes {
    ($(#[doc = $doc:literal])* $name:ident: $int:ty { $($(#[doc = $vdoc:literal])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr($int)]
        pub enum $name { $($(#[doc = $vdoc])* $variant = $number,)* }
        impl $name {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The number.
            #[must_use]
            pub const fn number(self) -> $int {
                match self { $(Self::$variant => $number,)* }
            }
            /// The name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
            /// One sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => concat!($($vdoc),*),)* }
            }
            /// The code of this number.
            #[must_use]
            pub const fn from_number(number: $int) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { f.write_str(self.name()) }
        }
    };
}

codes! {
    /// Why the ingress refuses a request (wallets-and-builders.md section 7).
    Reason: u16 {
        /// The bytes are no canonical encoding, or a field is out of range.
        MalformedData = 1 "MALFORMED_DATA",
        /// Longer than the limit of its kind.
        OversizedData = 2 "OVERSIZED_DATA",
        /// For another network.
        WrongNetwork = 3 "WRONG_NETWORK",
        /// For an epoch whose decryption key is not the current one.
        WrongEpoch = 4 "WRONG_EPOCH",
        /// The signature is not the fee account's, or not in low-s form.
        WrongSignature = 5 "WRONG_SIGNATURE",
        /// The ciphertext fails admission; the detail says LENGTH, POINT, SCALAR, SUBGROUP or PROOF.
        BadCiphertext = 6 "BAD_CIPHERTEXT",
        /// Its last slot has passed, or is too far ahead.
        Expired = 7 "EXPIRED",
        /// The nonce is used.
        NonceTooLow = 8 "NONCE_TOO_LOW",
        /// A lower nonce is missing here: no receipt, send again.
        NonceTooFar = 9 "NONCE_TOO_FAR",
        /// The account is not on the ledger.
        UnknownAccount = 10 "UNKNOWN_ACCOUNT",
        /// The account or builder counts from a later epoch.
        NotActive = 11 "NOT_ACTIVE",
        /// The balance does not cover charge and unit bond.
        InsufficientBalance = 12 "INSUFFICIENT_BALANCE",
        /// The offer is below the base fee, below what a replacement must offer, or below this member's cut.
        FeeTooLow = 13 "FEE_TOO_LOW",
        /// An `after` hash is unknown here.
        AfterUnknown = 14 "AFTER_UNKNOWN",
        /// An `after` hash belongs to another payer, who did not co-sign.
        AfterNotAllowed = 15 "AFTER_NOT_ALLOWED",
        /// A quota of the connection, address or account is used up.
        Quota = 16 "QUOTA",
        /// The member cannot take more now.
        Busy = 17 "BUSY",
        /// The sender may not act for this account.
        NotDepositor = 18 "NOT_DEPOSITOR",
        /// The slot is closed, or not open yet.
        BadRoundNumber = 19 "BAD_ROUND_NUMBER",
        /// More bids than a builder may send for one slot.
        PerRoundBidLimitReached = 20 "PER_ROUND_BID_LIMIT_REACHED",
        /// The sender did not win the slot.
        NotWinner = 21 "NOT_WINNER",
        /// Two objects under one sequence number.
        Equivocation = 22 "EQUIVOCATION",
        /// The request's kind or version is unknown.
        Unsupported = 23 "UNSUPPORTED",
        /// The member is stopping.
        ShuttingDown = 24 "SHUTTING_DOWN",
    }
}

codes! {
    /// What became of a unit (rollups.md section 5).
    Outcome: u8 {
        /// Atomic execution succeeded on every rollup.
        Committed = 0 "COMMITTED",
        /// Legs were placed, whatever they did.
        Included = 1 "INCLUDED",
        /// Waits for gas in the next slot.
        Carried = 2 "CARRIED",
        /// Found no room in time: unit bond and tip go back.
        Expired = 3 "EXPIRED",
        /// The ciphertext does not open.
        NotOpened = 16 "NOT_OPENED",
        /// Codec, padding or version of the plaintext is wrong.
        BadPlaintext = 17 "BAD_PLAINTEXT",
        /// The bundle has no legs.
        NoLegs = 18 "NO_LEGS",
        /// More than 16 legs.
        TooManyLegs = 19 "TOO_MANY_LEGS",
        /// A leg names no rollup of the network.
        UnknownChain = 20 "UNKNOWN_CHAIN",
        /// Atomic execution was asked for on a rollup that is not executed here.
        NotExecutedHere = 21 "NOT_EXECUTED_HERE",
        /// A leg is no canonical EIP-2718 transaction.
        TxDecode = 22 "TX_DECODE",
        /// A leg's type is not accepted.
        TxType = 23 "TX_TYPE",
        /// A leg is signed for another chain.
        WrongChainId = 24 "WRONG_CHAIN_ID",
        /// A leg's signature is invalid, or its s is high.
        BadSignature = 25 "BAD_SIGNATURE",
        /// A leg comes from, or is authorised by, the system account.
        SystemSender = 26 "SYSTEM_SENDER",
        /// The legs' gas limits exceed the gas class.
        GasOverClass = 27 "GAS_OVER_CLASS",
        /// A leg's gas limit exceeds what any slot can hold.
        LegGasTooHigh = 28 "LEG_GAS_TOO_HIGH",
        /// A leg's gas limit is below its intrinsic gas.
        IntrinsicGas = 29 "INTRINSIC_GAS",
        /// A leg's tip exceeds its fee.
        TipOverFee = 30 "TIP_OVER_FEE",
        /// A leg's init code is too long.
        InitcodeSize = 31 "INITCODE_SIZE",
        /// A leg's nonce is used.
        NonceTooLow = 64 "NONCE_TOO_LOW",
        /// A leg's nonce is ahead.
        NonceTooHigh = 65 "NONCE_TOO_HIGH",
        /// A sender cannot pay for a leg.
        InsufficientFunds = 66 "INSUFFICIENT_FUNDS",
        /// A leg offers less than the rollup's base fee.
        FeeBelowBase = 67 "FEE_BELOW_BASE",
        /// A sender is a contract.
        SenderHasCode = 68 "SENDER_HAS_CODE",
        /// A leg reverted.
        Revert = 69 "REVERT",
        /// A leg ran out of gas or hit another exceptional halt.
        Halt = 70 "HALT",
        /// The bundle's deadline has passed.
        Deadline = 71 "DEADLINE",
        /// A message's destination has no later leg in the bundle.
        MailboxNoReader = 72 "MAILBOX_NO_READER",
        /// More messages than a unit may send.
        MailboxLimit = 73 "MAILBOX_LIMIT",
        /// Deliveries do not fit the gas class.
        MailboxGas = 74 "MAILBOX_GAS",
        /// A leg is invalid for a reason that has no code of its own.
        OtherInvalid = 75 "OTHER_INVALID",
        /// A tail bundle touches a rollup with carried units.
        CarryPending = 96 "CARRY_PENDING",
        /// A tail bundle does not fit the tail's gas.
        TailGas = 97 "TAIL_GAS",
    }
}

impl Outcome {
    /// Decided by the plaintext and the registry alone: fee and unit bond are taken.
    #[must_use]
    pub const fn is_failed(self) -> bool {
        self.number() >= 16 && self.number() < 64
    }
    /// Depends on the rollups' state: fee taken, unit bond back.
    #[must_use]
    pub const fn is_aborted(self) -> bool {
        self.number() >= 64 && self.number() < 96
    }
    /// Nothing follows: the fee's shares are paid.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Carried)
    }
}

codes! {
    /// Why a leaf of the lists has no entry (log.md section 4).
    Why: u8 {
        /// This very leaf is in fewer than f + 1 lists.
        Unlisted = 0 "UNLISTED",
        /// A candidate, or an operation over its kind's budget, for which the slot had no room.
        NoRoom = 1 "NO_ROOM",
        /// The payer cannot pay.
        NoFunds = 2 "NO_FUNDS",
        /// An `after` unit is neither in an earlier set nor a candidate.
        AfterOpen = 3 "AFTER_OPEN",
        /// A lower nonce is neither used nor a candidate's.
        NonceGap = 4 "NONCE_GAP",
        /// Another listed envelope of the same nonce ranks better.
        Replaced = 5 "REPLACED",
        /// The account's quota in this slot is used up.
        Quota = 6 "QUOTA",
        /// The offer is below the slot's base fee.
        BelowBase = 7 "BELOW_BASE",
        /// A bid, body or tail with a lower seq.
        Superseded = 8 "SUPERSEDED",
        /// Two listed objects of one seq.
        Double = 9 "DOUBLE",
        /// Not admissible in this slot: expired, used, for another epoch, or not what its leaf says.
        Inadmissible = 10 "INADMISSIBLE",
        /// The body of a slot with room.
        Unused = 11 "UNUSED",
    }
}

codes! {
    /// What became of a listed bid (auction-rules/RULES.md ).
    BidVerdict: u8 {
        /// Valid, and first: it gets the build right.
        Winner = 0 "WINNER",
        /// Valid, and another comes first.
        Outbid = 1 "OUTBID",
        /// Its bidder has a listed bid of a higher seq: never opened.
        Superseded = 16 "SUPERSEDED",
        /// Its bidder has two listed bids of one seq, so none of them counts: never opened.
        Equivocation = 17 "EQUIVOCATION",
        /// Opened, and below the reserve.
        ReserveNotMet = 18 "RESERVE_PRICE_NOT_MET",
        /// Opened, and above its cap: fined.
        AboveCap = 19 "ABOVE_CAP",
        /// Opened to something that is no bid: fined.
        Garbage = 20 "GARBAGE",
    }
}

impl BidVerdict {
    /// Took part in the auction.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.number() < 16
    }
    /// Was opened: it counted, so it pays the bid fee.
    #[must_use]
    pub const fn is_opened(self) -> bool {
        !matches!(self, Self::Superseded | Self::Equivocation)
    }
    /// Pays the fine for garbage.
    #[must_use]
    pub const fn is_fined(self) -> bool {
        matches!(self, Self::AboveCap | Self::Garbage)
    }
}

codes! {
    /// What an auditor found (log.md section 6).
    Finding: u16 {
        /// No valid signature of a log key, or fewer than 2f + 1 cosignatures.
        HeadInvalid = 1 "head-invalid",
        /// Two signed heads that cannot both be of one log.
        HeadSplit = 2 "head-split",
        /// A member's signed head that is not on the log.
        HeadStray = 3 "head-stray",
        /// Bytes that do not hash to the signed root.
        BytesMismatch = 4 "bytes-mismatch",
        /// An entry that is no canonical encoding.
        EntryMalformed = 5 "entry-malformed",
        /// An entry out of the grammar of sections.
        SectionOrder = 6 "section-order",
        /// A header that does not follow its parent.
        ParentWrong = 7 "parent-wrong",
        /// Roots or counts of CLOSE that its entries do not have.
        CloseRootsWrong = 8 "close-roots-wrong",
        /// A reveal that is not the head after the slot before was opened.
        RevealWrong = 9 "reveal-wrong",
        /// Fewer than 2f + 1 signed lists.
        ListsShort = 10 "lists-short",
        /// A list with a cut although it had room.
        ListInvalid = 11 "list-invalid",
        /// A leaf that differs from what the envelope's header gives.
        ListItemWrong = 12 "list-item-wrong",
        /// Two lists of one member for one slot.
        ListEquivocation = 13 "list-equivocation",
        /// Candidates that are not those the lists give.
        CandidatesWrong = 14 "candidates-wrong",
        /// A unit of the set, or an operation, that f + 1 lists do not name.
        UnlistedIncluded = 15 "unlisted-included",
        /// A candidate above the cut that is not in the set.
        ForcedOmitted = 16 "forced-omitted",
        /// A cut that is not where pass 1 stops.
        CutWrong = 17 "cut-wrong",
        /// A listed bid that is not in the section.
        BidOmitted = 18 "bid-omitted",
        /// A listed operation that is not in the section, although it had room.
        OperationOmitted = 19 "operation-omitted",
        /// A body that is not the listed one of the winner.
        BodyWrong = 20 "body-wrong",
        /// Passes 2 and 3 give another set.
        SetWrong = 21 "set-wrong",
        /// A set, or operations, over the slot's limits.
        LimitsExceeded = 22 "limits-exceeded",
        /// A unit that may not be in any set.
        EnvelopeInvalid = 23 "envelope-invalid",
        /// A unit that was in an earlier set.
        EnvelopeDuplicate = 24 "envelope-duplicate",
        /// A bid that may not count.
        BidInvalid = 25 "bid-invalid",
        /// A beacon that is not the group's signature over the block.
        BeaconInvalid = 26 "beacon-invalid",
        /// A bid's opening that does not open it.
        BidOpeningWrong = 27 "bid-opening-wrong",
        /// Another bid wins by the rules.
        WinnerWrong = 28 "winner-wrong",
        /// Another price by the rules.
        PriceWrong = 29 "price-wrong",
        /// Another reserve by the rules.
        ReserveWrong = 30 "reserve-wrong",
        /// The order that the beacon gives is another.
        OrderWrong = 31 "order-wrong",
        /// A key that does not open its envelope.
        OpeningWrong = 32 "opening-wrong",
        /// An envelope is said not to open, but opens.
        FailureFalse = 33 "failure-false",
        /// Fewer openings than units.
        OpeningsMissing = 34 "openings-missing",
        /// A tail that may not count.
        TailInvalid = 35 "tail-invalid",
        /// A listed tail that is not in the section.
        TailOmitted = 36 "tail-omitted",
        /// Another outcome of a unit.
        OutcomeWrong = 37 "outcome-wrong",
        /// Another projection on a rollup.
        ProjectionWrong = 38 "projection-wrong",
        /// Another state, receipts or step root.
        ExecRootWrong = 39 "exec-root-wrong",
        /// Another queue.
        CarryWrong = 40 "carry-wrong",
        /// Sent and delivered differ.
        MailboxUnequal = 41 "mailbox-unequal",
        /// Fees other than the rules give.
        FeesWrong = 42 "fees-wrong",
        /// Another ledger.
        LedgerWrong = 43 "ledger-wrong",
        /// A payment other than the rules give.
        PaymentWrong = 44 "payment-wrong",
        /// An EPOCH that does not follow.
        EpochWrong = 45 "epoch-wrong",
        /// A registry that does not follow.
        RegistryWrong = 46 "registry-wrong",
        /// A FAULT that does not prove itself or comes a second time, or evidence that convicts without one.
        FaultFalse = 47 "fault-false",
        /// Another penalty than the rules give.
        PenaltyWrong = 48 "penalty-wrong",
        /// A receipt whose item the giver did not list.
        ReceiptUnlisted = 49 "receipt-unlisted",
        /// Two receipts under one sequence number.
        ReceiptConflict = 50 "receipt-conflict",
        /// A promise of f + 1 members that the network did not keep.
        PromiseBroken = 51 "promise-broken",
        /// A share for a digest that is not the final block's.
        ShareStray = 52 "share-stray",
        /// A share that does not verify.
        ShareBad = 53 "share-bad",
        /// A combiner's opening that does not open.
        OpeningBad = 54 "opening-bad",
        /// Two votes of one member that contradict each other.
        VoteDouble = 55 "vote-double",
        /// Two bids under one sequence number.
        BidDouble = 56 "bid-double",
        /// Two bodies under one sequence number.
        BodyDouble = 57 "body-double",
        /// Two tails under one sequence number.
        TailDouble = 58 "tail-double",
        /// Headers and votes given beside the log that do not prove the block final.
        FinalityInvalid = 59 "finality-invalid",
        /// Two share messages of one member for one slot.
        ShareEquivocation = 60 "share-equivocation",
        /// An operation of an account that may not be in any slot.
        OperationInvalid = 61 "operation-invalid",
    }
}

#[cfg(test)]
mod tests {
    // Goal: TYP-3.
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn typ_3_numbers_and_names_are_unique() {
        assert_eq!(Reason::ALL.iter().map(|r| r.number()).collect::<BTreeSet<_>>().len(), Reason::ALL.len());
        assert_eq!(Outcome::ALL.iter().map(|r| r.name()).collect::<BTreeSet<_>>().len(), Outcome::ALL.len());
        assert_eq!(Finding::ALL.iter().map(|r| r.name()).collect::<BTreeSet<_>>().len(), Finding::ALL.len());
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_number(outcome.number()), Some(*outcome));
        }
    }
}
