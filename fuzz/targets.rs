//! What is fuzzed: every decoder of bytes from outside, and the laws that hold whatever the bytes are. The fuzzers in
//! `fuzz_targets` and the test `tests/decoders.rs` call the same functions.
use crypto::tdh2::{self, Item, SharePoint};
use std::sync::LazyLock;
use types::{G1Bytes, G2Bytes, codec, limits};

/// One fuzzer.
pub(crate) type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub(crate) const ALL: &[(&str, Target)] =
    &[("ciphertext", ciphertext), ("log", log), ("messages", messages), ("points", points), ("requests", requests)];

static KEYS: LazyLock<crypto::keys::KeySet> = LazyLock::new(|| crypto::dealer::deal(4, 1, &[3; 32]).key_set());

/// Admission: the verdict on the bytes alone is that in a batch, and what is admitted has the U that it says.
pub(crate) fn ciphertext(data: &[u8]) {
    let Some((class, ciphertext)) = data.split_first() else { return };
    let classes = [128, 512, 2_048, 8_192, 32_768, 61_440];
    let class_bytes = classes[usize::from(*class) % classes.len()];
    let item = Item { aad: b"\x01fuzz", class_bytes, ciphertext };
    let alone = tdh2::admit(KEYS.encryption_key(), &[item], [1; 32]);
    // enough of them for every way of many: sums of 64 points and more are our own
    let batch = tdh2::admit(KEYS.encryption_key(), &[item; 11], [2; 32]);
    assert!(batch.iter().all(|verdict| *verdict == alone[0]), "CRY-1");
    let message = &ciphertext[..ciphertext.len().min(class_bytes)];
    if let Some(inside) = tdh2::unpad(message) {
        assert!(tdh2::pad(inside, message.len()).is_some(), "what was padded can be");
    }
}

/// Shares and beacon shares: what is accepted has one encoding.
pub(crate) fn points(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<48>()
        && let Ok(point) = SharePoint::from_compressed(&G1Bytes(*bytes))
    {
        assert_eq!(point.compressed(), G1Bytes(*bytes));
        assert_eq!(SharePoint::from_affine(&point.affine()), Ok(point));
    }
    if let Some(bytes) = data.first_chunk::<96>() {
        if let Ok(point) = SharePoint::from_affine(&G2Bytes(*bytes)) {
            assert_eq!(point.affine(), G2Bytes(*bytes));
            assert_eq!(SharePoint::from_compressed(&point.compressed()), Ok(point));
        }
        let message = crypto::beacon::Message {
            network: types::Hash([1; 32]),
            slot: types::Slot(1),
            digest: types::Hash([2; 32]),
        };
        let share = (types::MemberId(1), G2Bytes(*bytes));
        let alone = crypto::beacon::share_holds(&KEYS, share.0, &message, &share.1);
        assert_eq!(crypto::beacon::shares_hold(&KEYS, &message, &[share]), [alone]);
    }
}

/// Everything that members, wallets and the log encode with the codec: the first byte says what.
pub(crate) fn messages(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % MESSAGES {
        0 => exact::<types::Envelope>(bytes, limits::ENVELOPE_BYTES_MAX),
        1 => exact::<types::Entry>(bytes, limits::ENTRY_BYTES_MAX),
        2 => exact::<types::ShareMessage>(bytes, limits::SHARE_BYTES_MAX),
        3 => exact::<types::FinalityProof>(bytes, limits::FINALITY_BYTES_MAX),
        4 => exact::<types::SignedList>(bytes, limits::LIST_BYTES_MAX),
        5 => exact::<types::Operation>(bytes, limits::OPERATION_BYTES_MAX),
        6 => exact::<types::Bundle>(bytes, limits::ENVELOPE_BYTES_MAX),
        7 => exact::<types::Handover>(bytes, limits::OPERATION_BYTES_MAX),
        8 => exact::<types::Evidence>(bytes, limits::EVIDENCE_BYTES_MAX),
        9 => exact::<types::wire::Event>(bytes, limits::EVENT_BYTES_MAX),
        10 => exact::<types::wire::Refusal>(bytes, limits::REFUSAL_BYTES_MAX),
        11 => exact::<types::wire::Status>(bytes, limits::REQUEST_BYTES_MAX),
        12 => exact::<types::wire::Params>(bytes, limits::REQUEST_BYTES_MAX),
        13 => {
            // a block has rules of shape besides
            if let Ok(opened) = sequencer::open(bytes) {
                assert_eq!(codec::encode(&opened.block), bytes);
            }
        }
        _ => {
            if let Some(evidence) = crypto::evidence::decode(bytes) {
                assert_eq!(codec::encode(&evidence), bytes);
                let _name = (crypto::evidence::id(&evidence), crypto::evidence::claim(&evidence));
            }
        }
    }
}

/// Kinds of [`messages`].
const MESSAGES: u8 = 15;

fn exact<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8], max: usize) {
    if let Ok(value) = codec::decode::<T>(bytes, max) {
        assert_eq!(codec::encode(&value), bytes, "one encoding");
    }
}

/// The log's texts and tiles: what parses is written the same again.
pub(crate) fn log(data: &[u8]) {
    if let Ok(note) = tlog::note::Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
    }
    if let Ok(proof) = tlog::proof::TlogProof::parse(data) {
        assert_eq!(proof.text().as_bytes(), data);
    }
    if let Ok(entries) = tlog::tiles::decode_bundle(data) {
        assert_eq!(tlog::tiles::encode_bundle(&entries).expect("they were a bundle"), data);
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let _head = tlog::checkpoint::parse(text);
    if let Ok(tile) = tlog::tiles::Tile::parse(text) {
        assert_eq!(tile.to_string(), text);
    }
    if let Ok(key) = tlog::note::VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(receipt) = types::Receipt::parse(text) {
        assert_eq!(receipt.text(), text);
    }
}

/// What wallets send to a member, and a rollup's genesis: the first byte says what.
pub(crate) fn requests(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind {
        0 => exact::<types::Hash>(bytes, limits::REQUEST_BYTES_MAX),
        1 => exact::<types::Address>(bytes, limits::REQUEST_BYTES_MAX),
        2 => exact::<types::wire::Subscribe>(bytes, limits::REQUEST_BYTES_MAX),
        3 => exact::<types::wire::AccountState>(bytes, limits::REQUEST_BYTES_MAX),
        _ => drop(execution::genesis::parse(bytes)),
    }
}
