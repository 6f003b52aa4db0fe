//! SHA-256 and the RFC 6962 root. The edges of this crate leave `crypto` out, so the twenty lines stand here too; a
//! test holds them against the vectors of certificate-transparency.
use alloc::vec::Vec;
use sha2::{Digest, Sha256};
use types::{Hash, SetRef};

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// RFC 6962 root over leaves.
pub(crate) fn root<L: AsRef<[u8]>>(leaves: &[L]) -> Hash {
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| sha256(&[&[0], leaf.as_ref()])).collect();
    fold(&hashes)
}

fn fold(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => sha256(&[]),
        [one] => *one,
        more => {
            // The left part is the largest power of two below the number of leaves.
            let half = more.len().next_power_of_two() >> 1;
            let (left, right) = more.split_at(half);
            sha256(&[&[1], fold(left).as_ref(), fold(right).as_ref()])
        }
    }
}

/// The reference to an empty list.
pub(crate) fn empty_set() -> SetRef {
    SetRef { count: 0, root: sha256(&[]) }
}

#[cfg(test)]
mod tests {
    // Goal: the root is that of RFC 6962. Method: the leaves and roots that certificate-transparency's own tests use.
    use super::*;

    #[test]
    fn roots_of_the_certificate_transparency_tests() {
        let leaves: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (n, expected) in roots.iter().enumerate() {
            assert_eq!(root(&leaves[..n]), Hash::from_hex(expected).unwrap(), "{n} leaves");
        }
    }
}
