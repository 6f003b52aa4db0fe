//! Frames: `u32 LE length of the payload | u8 kind | payload`. Pure.
use types::{
    Address, Bid, Envelope, Hash, Object, Operation, SignedAccountOperation, codec, limits,
    reason::Reason,
    wire::{AccountState, Params, Pending, PendingRequest, Refusal, RequestKind, Status, Subscribe, answer},
};

/// Length and kind.
pub(crate) const HEADER_BYTES: usize = 5;

/// What a client wants of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Admit an envelope and give a receipt.
    Submit {
        /// Decoded.
        envelope: Box<Envelope>,
        /// As received; canonical, hence codec of `envelope`.
        bytes: Vec<u8>,
    },
    /// Admit a bid and give a receipt.
    Bid(Box<Bid>),
    /// Take a body or a tail.
    Object(Object),
    /// Hold what an account asks for, and list it when its turn has come.
    Operation(Box<SignedAccountOperation>),
    /// Where this item is.
    Status(Hash),
    /// What a wallet needs to seal.
    Params,
    /// A ledger account.
    Account(Address),
    /// What a body could place, for whoever has bought the slot.
    Pending(Box<PendingRequest>),
}

/// A decoded request frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For the driver.
    Request(Request),
    /// For the event hub.
    Subscribe(Subscribe),
}

/// What the driver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::Submit`] and [`Request::Bid`]: the receipt's note.
    Receipt(String),
    /// To [`Request::Object`] and [`Request::Operation`]: taken, and nothing is promised.
    Seen,
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Params`].
    Params(Params),
    /// To [`Request::Account`].
    Account(AccountState),
    /// To [`Request::Pending`].
    Pending(Pending),
}

impl Answer {
    /// The answer belongs to this request.
    pub(crate) const fn answers(&self, kind: RequestKind) -> bool {
        matches!(
            (self, kind),
            (Self::Receipt(_), RequestKind::SubmitEnvelope | RequestKind::SubmitBid)
                | (Self::Seen, RequestKind::SubmitBody | RequestKind::SubmitTail | RequestKind::SubmitOperation)
                | (Self::Status(_), RequestKind::GetStatus)
                | (Self::Params(_), RequestKind::GetParams)
                | (Self::Account(_), RequestKind::GetAccount)
                | (Self::Pending(_), RequestKind::GetPending)
        )
    }
    pub(crate) fn frame(&self) -> Vec<u8> {
        match self {
            Self::Receipt(note) => frame(answer::RECEIPT, note.as_bytes()),
            Self::Seen => frame(answer::SEEN, &[]),
            Self::Status(status) => frame(answer::STATUS, &codec::encode(status)),
            Self::Params(params) => frame(answer::PARAMS, &codec::encode(params)),
            Self::Account(account) => frame(answer::ACCOUNT, &codec::encode(account)),
            Self::Pending(pending) => frame(answer::PENDING, &codec::encode(pending)),
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Bytes of the payload.
    pub(crate) len: u32,
    /// Kind byte.
    pub(crate) kind: u8,
}

impl FrameHeader {
    pub(crate) const fn parse([a, b, c, d, kind]: [u8; HEADER_BYTES]) -> Self {
        Self { len: u32::from_le_bytes([a, b, c, d]), kind }
    }
    /// The length, if the kind may be that long.
    pub(crate) fn within(self, max: usize) -> Option<usize> {
        usize::try_from(self.len).ok().filter(|len| *len <= max)
    }
}

/// The bytes of a frame. Payloads are bounded by [`limits`] long before 2^32.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(payload.len().saturating_add(HEADER_BYTES));
    out.extend_from_slice(&len.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    out
}

/// Longest payload of an answer or event kind; `None` for a kind that this version does not know.
pub(crate) const fn answer_bytes_max(kind: u8) -> Option<usize> {
    match kind {
        answer::RECEIPT => Some(limits::ANSWER_BYTES_MAX),
        answer::STATUS | answer::PARAMS | answer::ACCOUNT => Some(limits::REQUEST_BYTES_MAX),
        answer::SEEN => Some(0),
        answer::PENDING => Some(limits::PENDING_BYTES_MAX),
        answer::EVENT => Some(limits::EVENT_BYTES_MAX),
        answer::ERROR => Some(limits::REFUSAL_BYTES_MAX),
        _ => None,
    }
}

/// The request that these bytes are, all of them.
///
/// # Errors
/// A refusal: `OVERSIZED_DATA` above the kind's limit, `MALFORMED_DATA` for anything but one canonical encoding.
pub fn decode_request(kind: RequestKind, bytes: Vec<u8>) -> Result<Asked, Refusal> {
    let max = kind.bytes_max();
    let refuse = |error: codec::DecodeError| match error {
        codec::DecodeError::TooLong => Refusal::new(Reason::OversizedData, "payload"),
        codec::DecodeError::Malformed => Refusal::new(Reason::MalformedData, "malformed"),
        codec::DecodeError::Leftover => Refusal::new(Reason::MalformedData, "bytes left over"),
        codec::DecodeError::NotCanonical => Refusal::new(Reason::MalformedData, "not canonical"),
        _ => Refusal::new(Reason::MalformedData, "payload"),
    };
    Ok(match kind {
        RequestKind::SubmitEnvelope => {
            let envelope = Box::new(codec::decode::<Envelope>(&bytes, max).map_err(refuse)?);
            Asked::Request(Request::Submit { envelope, bytes })
        }
        RequestKind::SubmitBid => {
            Asked::Request(Request::Bid(Box::new(codec::decode::<Bid>(&bytes, max).map_err(refuse)?)))
        }
        RequestKind::SubmitBody => {
            Asked::Request(Request::Object(Object::Body(codec::decode(&bytes, max).map_err(refuse)?)))
        }
        RequestKind::SubmitTail => {
            Asked::Request(Request::Object(Object::Tail(codec::decode(&bytes, max).map_err(refuse)?)))
        }
        RequestKind::SubmitOperation => match codec::decode::<Operation>(&bytes, max).map_err(refuse)? {
            Operation::Account(signed) => Asked::Request(Request::Operation(signed)),
            Operation::Evidence(_) | Operation::Change(_) | Operation::Handover(_) => {
                return Err(Refusal::new(Reason::Unsupported, "an account's operations only"));
            }
        },
        RequestKind::GetStatus => Asked::Request(Request::Status(codec::decode(&bytes, max).map_err(refuse)?)),
        RequestKind::GetParams => {
            codec::decode::<()>(&bytes, max).map_err(refuse)?;
            Asked::Request(Request::Params)
        }
        RequestKind::GetAccount => Asked::Request(Request::Account(codec::decode(&bytes, max).map_err(refuse)?)),
        RequestKind::GetPending => {
            Asked::Request(Request::Pending(Box::new(codec::decode(&bytes, max).map_err(refuse)?)))
        }
        RequestKind::Subscribe => Asked::Subscribe(codec::decode(&bytes, max).map_err(refuse)?),
        _ => return Err(Refusal::new(Reason::Unsupported, "kind")),
    })
}

#[cfg(test)]
mod tests {
    // Goal: ING-1 and ING-2 on bytes alone; decode is exact for each kind and total on mutations.
    use super::*;
    use types::{
        Amount, Body, BuildHeader, Bundle, ChainId, Epoch, EthSignature, Leg, Nonce, Policy, SignedHeader, Slot, Tail,
        wire::Event,
    };

    fn envelope() -> Envelope {
        let header = types::EnvelopeHeader {
            version: 1,
            network: Hash([1; 32]),
            epoch: Epoch(0),
            expiry_slot: Slot(20),
            fee_account: Address([2; 20]),
            nonce: Nonce(300),
            size_class: 0,
            gas_class: 21,
            max_fee: Amount::new(1 << 70).unwrap(),
            after: vec![Hash([3; 32])],
        };
        let signed = SignedHeader { header, signature: EthSignature([4; 65]), consents: vec![] };
        Envelope { signed, ciphertext: vec![9; 768] }
    }

    const BUILD: BuildHeader = BuildHeader {
        version: 1,
        network: Hash([1; 32]),
        epoch: Epoch(2),
        slot: Slot(300),
        builder: Address([2; 20]),
        seq: 1,
    };

    fn body() -> Body {
        Body { header: BUILD, signature: EthSignature([4; 65]), units: vec![Hash([3; 32]); limits::BODY_UNITS_MAX] }
    }

    fn tail() -> Tail {
        let legs = vec![Leg { chain_id: ChainId(901), tx: vec![5; 300] }];
        let bundle =
            Bundle { version: 1, policy: Policy::AtomicExec, legs, deadline_slot: Slot(9), salt: Hash([6; 32]) };
        Tail { header: BUILD, reveal: Hash([7; 32]), signature: EthSignature([4; 65]), bundles: vec![bundle; 16] }
    }

    #[test]
    fn each_kind_reads_its_own_bytes() {
        let bytes = codec::encode(&envelope());
        let asked = decode_request(RequestKind::SubmitEnvelope, bytes.clone()).unwrap();
        assert_eq!(asked, Asked::Request(Request::Submit { envelope: Box::new(envelope()), bytes }));
        for object in [Object::Body(Box::new(body())), Object::Tail(Box::new(tail()))] {
            let (kind, bytes) = match &object {
                Object::Body(body) => (RequestKind::SubmitBody, codec::encode(body)),
                Object::Tail(tail) => (RequestKind::SubmitTail, codec::encode(tail)),
            };
            assert_eq!(decode_request(kind, bytes), Ok(Asked::Request(Request::Object(object))));
        }
        let hash = decode_request(RequestKind::GetStatus, vec![7; 32]).unwrap();
        assert_eq!(hash, Asked::Request(Request::Status(Hash([7; 32]))));
        assert_eq!(decode_request(RequestKind::GetParams, vec![]).unwrap(), Asked::Request(Request::Params));
        let account = decode_request(RequestKind::GetAccount, vec![7; 20]).unwrap();
        assert_eq!(account, Asked::Request(Request::Account(Address([7; 20]))));
        let subscribe = decode_request(RequestKind::Subscribe, vec![5]).unwrap();
        assert_eq!(subscribe, Asked::Subscribe(Subscribe { from_slot: Slot(5) }));
    }

    #[test]
    fn ing_1_lengths_are_held_against_the_kind() {
        let code = |kind, bytes: Vec<u8>| decode_request(kind, bytes).unwrap_err().known().unwrap();
        assert_eq!(code(RequestKind::SubmitEnvelope, vec![0; 65_521]), Reason::OversizedData);
        assert_eq!(code(RequestKind::SubmitBid, vec![0; 1_025]), Reason::OversizedData);
        assert_eq!(code(RequestKind::SubmitBid, vec![0; 90]), Reason::MalformedData);
        assert_eq!(code(RequestKind::GetStatus, vec![0; 65]), Reason::OversizedData);
        assert_eq!(code(RequestKind::GetStatus, vec![0; 33]), Reason::MalformedData);
        assert_eq!(code(RequestKind::GetStatus, vec![0; 31]), Reason::MalformedData);
        assert_eq!(code(RequestKind::GetParams, vec![0]), Reason::MalformedData);
        assert_eq!(code(RequestKind::Subscribe, vec![251, 5, 0]), Reason::MalformedData);
        assert_eq!(FrameHeader::parse([0xff, 0xff, 0, 0, 1]), FrameHeader { len: 65_535, kind: 1 });
        assert_eq!(FrameHeader { len: 65_535, kind: 1 }.within(65_520), None);
    }

    #[test]
    fn mutated_requests_are_read_exactly_or_refused() {
        let good = codec::encode(&envelope());
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut draw = |end: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(end).unwrap()).unwrap()
        };
        let kinds = [0x01u8, 0x02, 0x03, 0x05, 0x20].map(|k| RequestKind::from_number(k).unwrap());
        for _ in 0..10_000 {
            let mut bytes = good.clone();
            bytes.truncate(draw(bytes.len() + 1));
            for _ in 0..draw(4) {
                if !bytes.is_empty() {
                    let at = draw(bytes.len());
                    bytes[at] = u8::try_from(draw(256)).unwrap();
                }
            }
            let kind = kinds[draw(kinds.len())];
            match decode_request(kind, bytes.clone()) {
                Ok(Asked::Request(Request::Submit { envelope, bytes: kept })) => {
                    assert_eq!(codec::encode(&*envelope), bytes);
                    assert_eq!(kept, bytes);
                }
                Ok(_) => assert!(bytes.len() <= 64),
                Err(refusal) => assert!(refusal.known().is_some()),
            }
        }
    }

    #[test]
    fn the_longest_event_fits_its_limit() {
        let set = vec![Hash([1; 32]); usize::try_from(limits::SET_COUNT_MAX).unwrap()];
        let event = Event::Final { slot: Slot(u64::MAX), set };
        assert!(codec::encode(&event).len() <= limits::EVENT_BYTES_MAX);
        let mut refusal = Refusal::new(Reason::PerRoundBidLimitReached, &"x".repeat(300));
        refusal.retry_after_ms = u32::MAX;
        assert!(codec::encode(&refusal).len() <= limits::REFUSAL_BYTES_MAX);
    }
}
