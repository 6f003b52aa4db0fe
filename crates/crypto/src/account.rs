//! Operations of accounts: signing them, and what can be said of one without any ledger.
use crate::{
    eip712,
    eth::{self, EthKey},
};
use types::{AccountHeader, Address, Hash, SignedAccountOperation};

/// Signs an operation of the key's account.
#[must_use]
pub fn sign(key: &EthKey, header: AccountHeader) -> SignedAccountOperation {
    SignedAccountOperation { header, signature: key.sign(&eip712::operation_digest(&header)) }
}

/// Whether its account signed it.
#[must_use]
pub fn is_signed(signed: &SignedAccountOperation) -> bool {
    let digest = eip712::operation_digest(&signed.header);
    eth::recover(&digest, &signed.signature).ok() == Some(signed.header.account)
}

/// Format, network, and nothing in the fields that its kind does not read. What registers a rollup has no such form yet.
#[must_use]
pub fn is_well_formed(header: &AccountHeader, network: &Hash) -> bool {
    let reads_to = header.kind == AccountHeader::TRANSFER;
    header.version == AccountHeader::VERSION
        && header.network == *network
        && (AccountHeader::TRANSFER..=AccountHeader::WITHDRAW).contains(&header.kind)
        && (reads_to || header.to == Address::ZERO)
        && header.data == Hash::ZERO
}

#[cfg(test)]
mod tests {
    // Goal: an operation is its account's alone, on one network, in one form. Method: every field changed.
    use super::*;
    use types::{Amount, Epoch, Nonce};
    use zeroize::Zeroizing;

    const HOME: Hash = Hash([7; 32]);

    fn header(kind: u8, account: Address) -> AccountHeader {
        AccountHeader {
            version: 1,
            network: HOME,
            epoch: Epoch(2),
            kind,
            account,
            nonce: Nonce(4),
            to: Address::ZERO,
            amount: Amount::new(9).unwrap(),
            data: Hash::ZERO,
        }
    }

    #[test]
    fn an_operation_is_its_accounts_alone() {
        let key = EthKey::from_bytes(Zeroizing::new([5; 32])).unwrap();
        let signed = sign(&key, header(AccountHeader::BOND, key.address()));
        assert!(is_signed(&signed) && is_well_formed(&signed.header, &HOME));
        assert!(!is_well_formed(&signed.header, &Hash([8; 32])));
        let changes: [fn(&mut SignedAccountOperation); 6] = [
            |s| s.header.account.0[0] ^= 1,
            |s| s.header.amount = Amount::ZERO,
            |s| s.header.network.0[0] ^= 1,
            |s| s.header.nonce = Nonce(5),
            |s| s.header.epoch = Epoch(3),
            |s| s.signature.0[40] ^= 1,
        ];
        for change in changes {
            let mut other = signed;
            change(&mut other);
            assert!(!is_signed(&other));
        }
    }

    #[test]
    fn what_a_kind_does_not_read_is_zero() {
        let account = Address([3; 20]);
        for kind in AccountHeader::TRANSFER..=AccountHeader::WITHDRAW {
            let good = header(kind, account);
            assert!(is_well_formed(&good, &HOME));
            let to = AccountHeader { to: account, ..good };
            assert_eq!(is_well_formed(&to, &HOME), kind == AccountHeader::TRANSFER);
            assert!(!is_well_formed(&AccountHeader { data: Hash([1; 32]), ..good }, &HOME));
            assert!(!is_well_formed(&AccountHeader { version: 2, ..good }, &HOME));
        }
        for kind in [0, AccountHeader::ROLLUP, 6] {
            assert!(!is_well_formed(&header(kind, account), &HOME));
        }
    }
}
