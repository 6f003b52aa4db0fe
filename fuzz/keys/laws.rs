//! What is fuzzed of the key ceremony: what operators send each other, what a transcript or a key file may hold, and the
//! laws that hold whatever the bytes are. The fuzzer beside it and the test `keygen/tests/decoders.rs` call the same.
use keygen::{
    files::{self, Protection, SHARE_MAGIC, Unlock},
    operators::{Message, Transcript},
};
use types::tag;

/// A message, a transcript, a key file: the first byte says what.
pub(crate) fn keys(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            if let Ok(message) = Message::read(bytes) {
                assert_eq!(message.bytes(), bytes, "one encoding");
            }
        }
        1 => {
            if let Ok(transcript) = Transcript::read(bytes) {
                assert_eq!(transcript.bytes(), bytes, "one encoding");
            }
        }
        _ => key_file(bytes),
    }
}

/// Bytes with the checksum that they need to be looked at. Sealed ones are opened no further: that takes a second each.
fn key_file(bytes: &[u8]) {
    let sum = crypto::hash::tagged(tag::KEY_FILE, &[bytes]);
    let file = [bytes, sum.as_bytes()].concat();
    for file in [bytes, &file] {
        let sealed = files::is_sealed(SHARE_MAGIC, file);
        match files::unlock(SHARE_MAGIC, file, Unlock::InsecurePlaintext) {
            Ok(plain) => {
                assert!(matches!(sealed, Ok(false)));
                let again = files::lock(SHARE_MAGIC, &plain, &Protection::InsecurePlaintext).expect("plain");
                let opened = files::unlock(SHARE_MAGIC, &again, Unlock::InsecurePlaintext).expect("just locked");
                assert_eq!(opened, plain);
            }
            Err(files::FileError::Sealed) => assert!(matches!(sealed, Ok(true))),
            Err(_) => {}
        }
        assert!(
            files::unlock(SHARE_MAGIC, file, Unlock::Passphrase(b"")).is_err(),
            "nothing opens under no passphrase"
        );
    }
}
