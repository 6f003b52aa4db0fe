//! SHA-256 and the RFC 6962 root, so that this crate needs nothing but `types` and a hash function.
use alloc::vec::Vec;
use sha2::{Digest, Sha256};
use types::Hash;

pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// RFC 6962 section 2.1: a carry of complete subtrees, one per bit of the count.
pub(crate) fn root(leaves: impl IntoIterator<Item = Vec<u8>>) -> Hash {
    let mut complete: Vec<(u32, Hash)> = Vec::new();
    for leaf in leaves {
        let mut node = (0u32, sha256(&[&[0], &leaf]));
        while let Some((height, left)) = complete.pop_if(|(height, _)| *height == node.0) {
            node = (height.saturating_add(1), sha256(&[&[1], left.as_bytes(), node.1.as_bytes()]));
        }
        complete.push(node);
    }
    let mut subtrees = complete.into_iter().rev().map(|(_, hash)| hash);
    let Some(last) = subtrees.next() else { return sha256(&[]) };
    subtrees.fold(last, |right, left| sha256(&[&[1], left.as_bytes(), right.as_bytes()]))
}

#[cfg(test)]
mod tests {
    // Goal: the roots of the RFC 6962 test tree of the certificate-transparency project.
    use super::*;

    #[test]
    fn rfc_6962_roots() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
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
        for (count, want) in roots.iter().enumerate() {
            let got = root(leaves.iter().take(count).map(|leaf| hex::decode(leaf).unwrap()));
            assert_eq!(got, Hash::from_hex(want).unwrap(), "{count} leaves");
        }
    }
}
