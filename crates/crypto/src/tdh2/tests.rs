use super::*;
use crate::{
    dealer,
    ffi::{Fr, G1Affine, G2Affine},
    hash::sha256,
    keys::EncryptionKey,
};
use std::vec;
use types::{G1Bytes, G2Bytes};

fn key_of(secret: &[u8]) -> EncryptionKey {
    let x = Fr::reduce(secret);
    let pk = G1Bytes(G1Affine::generator().mul(&x).compress());
    let pk2 = G2Bytes(G2Affine::generator().point().mul(&x).affine().unwrap().compress());
    EncryptionKey::new(&pk, &pk2).unwrap()
}

#[test]
fn golden() {
    let key = key_of(&[7]);
    std::println!("key_id {}", key.key_id());
    let aad = b"\x01lockstep test header";
    let ct = seal(&key, Zeroizing::new([0x11; 32]), aad, &pad(b"hello", 512).unwrap());
    std::println!("U {}", hex::encode(&ct[..48]));
    std::println!("z {}", hex::encode(&ct[192..224]));
    std::println!("c1 {}", hex::encode(&ct[224..240]));
    std::println!("sha {} {}", ct.len(), sha256(&[&ct]));
    let item = Item { aad, class_bytes: 512, ciphertext: &ct };
    assert!(admit(&key, &[item], [0; 32])[0].is_ok());
    let deal = dealer::deal(4, 1, &[1; 32]);
    let set = deal.key_set();
    let ct = seal(set.encryption_key(), Zeroizing::new([0x11; 32]), aad, &pad(b"hello", 512).unwrap());
    let item = Item { aad, class_bytes: 512, ciphertext: &ct };
    let adm = admit(set.encryption_key(), &[item], [0; 32]).remove(0).unwrap();
    let shares: vec::Vec<_> = (0..4u16)
        .map(|m| {
            (
                types::MemberId(m),
                vec![SharePoint(*deal.decrypt[m as usize].share(types::Hash::ZERO, &adm).point_for_test())],
            )
        })
        .collect();
    let r = reveal(&set, &[(item, &adm)], &shares[1..], [0; 32]).unwrap();
    std::println!("{r:?}");
    assert!(check_openings(&set, &[item], &r.openings, [1; 32])[0].is_ok());
}
