//! A network of four for tests: receipt keys, a key set with a known secret, two demo rollups.
use crate::demo::DemoWallet;
use crypto::{
    ed25519::SigningKey,
    keys::{BeaconShareKey, DecryptionShareKey},
};
use execution::genesis::{RollupGenesis, demo};
use types::{
    Amount, Balance, ChainId, Fork, G1Bytes, Genesis, Hash, KeySetParts, MemberAddress, MemberId, MemberRecord,
    Network, Params, RollupSpec,
};
use zeroize::Zeroizing;

pub(crate) const CHAINS: [ChainId; 2] = [ChainId(901), ChainId(902)];
pub(crate) const SEED: [u8; 32] = [3; 32];

/// A polynomial with small coefficients, so that shares are small integers.
const POLYNOMIAL: [u64; 3] = [5, 7, 11];

fn scalar(value: u64) -> Zeroizing<[u8; 32]> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    Zeroizing::new(bytes)
}

fn key_set() -> KeySetParts {
    let decrypt = |value| DecryptionShareKey::from_le_bytes(scalar(value)).unwrap();
    let beacon = |value| BeaconShareKey::from_le_bytes(scalar(value)).unwrap();
    let share = |x: u64| POLYNOMIAL.iter().rev().fold(0, |sum, c| sum * x + c);
    KeySetParts {
        decrypt: POLYNOMIAL.iter().map(|c| decrypt(*c).public_g1()).collect(),
        decrypt_g2: decrypt(POLYNOMIAL[0]).public_g2(),
        share_keys_g2: (1..=4).map(|x| decrypt(share(x)).public_g2()).collect(),
        beacon: POLYNOMIAL.iter().map(|c| -> G1Bytes { beacon(c + 1).public_g1() }).collect(),
        revealed: vec![],
    }
}

pub(crate) fn rollups(wallets: &[DemoWallet]) -> Vec<(RollupSpec, RollupGenesis)> {
    let funded: Vec<_> = wallets.iter().map(DemoWallet::sender).collect();
    let made = CHAINS.iter().map(|chain| demo(*chain, Fork::Prague, 1_800_000_000, &funded));
    made.map(|(genesis, spec)| (spec, genesis)).collect()
}

pub(crate) fn network_of(wallets: &[DemoWallet]) -> (Network, Vec<SigningKey>) {
    let keys: Vec<_> = (0..4u8).map(|i| SigningKey::from_seed(Zeroizing::new([0x40 + i; 32]))).collect();
    let record = |i: u8| MemberRecord {
        name: format!("m{i}"),
        consensus: Hash([i; 32]),
        log: Hash([0x10 + i; 32]),
        cosigner: Hash([0x20 + i; 32]),
        receipt: keys[usize::from(i)].public(),
        tls: ingress::TlsIdentity::from_seed(&Zeroizing::new([0x50 + i; 32])).unwrap().pin(),
    };
    let units = Amount::new(1 << 80).unwrap();
    let mut balances: Vec<_> = wallets
        .iter()
        .map(|wallet| Balance { address: wallet.fee_account(), balance: units, bond: Amount::ZERO })
        .collect();
    balances.sort_by_key(|balance| balance.address);
    let genesis = Genesis {
        origin: "example.net/test".into(),
        members: (0..4).map(record).collect(),
        params: Params::default_for(500),
        rollups: rollups(wallets).into_iter().map(|(spec, _)| spec).collect(),
        balances,
    };
    let address = |i: u16| MemberAddress {
        member: MemberId(i),
        p2p: "127.0.0.1:1".into(),
        quic: "127.0.0.1:1".into(),
        http: "127.0.0.1:1".into(),
    };
    (Network { genesis, keys: key_set(), addresses: (0..4).map(address).collect() }, keys)
}

pub(crate) fn network() -> (Network, Vec<SigningKey>) {
    network_of(&[])
}
