//! What a wallet knows of a network: the network file, checked.
use crypto::{
    ids::network_id,
    keys::{EncryptionKey, KeySet, KeySetError},
};
use types::{ChainId, Epoch, Hash, MemberId, Network, Params};

/// Why a network file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The number of members is not 3f + 1 with f of at least 1.
    #[error("{0} members are not 3f + 1")]
    Members(usize),
    /// The key set does not belong together.
    #[error("key set: {0}")]
    Keys(#[from] KeySetError),
    /// A member has no address, or two.
    #[error("member {0} has no single address")]
    Address(MemberId),
}

/// One member's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Index.
    pub member: MemberId,
    /// Ingress, host:port.
    pub quic: String,
    /// SHA-256 of its certificate's SPKI.
    pub pin: Hash,
    /// ed25519 key of its receipts.
    pub receipt_key: Hash,
    /// Name of that key: `<origin>/m<i>/receipt`.
    pub receipt_name: String,
}

/// A network as a wallet needs it.
#[derive(Clone, Debug)]
pub struct NetworkView {
    /// Network id.
    pub id: Hash,
    /// Members that may be faulty.
    pub f: u16,
    /// Epoch of the key.
    pub epoch: Epoch,
    /// What bundles are sealed to.
    pub key: EncryptionKey,
    /// By index.
    pub members: Vec<MemberView>,
    /// Parameters.
    pub params: Params,
    /// Ascending.
    pub rollups: Vec<ChainId>,
}

impl NetworkView {
    /// Reads a network file.
    ///
    /// # Errors
    /// [`ViewError`]: whoever wrote the file is at fault.
    pub fn new(network: &Network) -> Result<Self, ViewError> {
        let count = network.genesis.members.len();
        let wrong = ViewError::Members(count);
        let n = u16::try_from(count).map_err(|_many| wrong)?;
        let f = network.faults();
        if f == 0 || f.checked_mul(3).and_then(|third| third.checked_add(1)) != Some(n) {
            return Err(wrong);
        }
        let keys = KeySet::new(n, f, &network.keys)?;
        let members = (0..n).map(MemberId).zip(&network.genesis.members).map(|(member, record)| {
            let mut addresses = network.addresses.iter().filter(|address| address.member == member);
            let (Some(address), None) = (addresses.next(), addresses.next()) else {
                return Err(ViewError::Address(member));
            };
            Ok(MemberView {
                member,
                quic: address.quic.clone(),
                pin: record.tls,
                receipt_key: record.receipt,
                receipt_name: format!("{}/m{member}/receipt", network.genesis.origin),
            })
        });
        Ok(Self {
            id: network_id(&network.genesis),
            f,
            epoch: Epoch(0),
            key: keys.encryption_key().clone(),
            members: members.collect::<Result<_, _>>()?,
            params: network.genesis.params.clone(),
            rollups: network.genesis.rollups.iter().map(|spec| spec.chain_id).collect(),
        })
    }

    /// How many members outweigh f others: n - f = 2f + 1.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.members.len().saturating_sub(usize::from(self.f))
    }

    /// How many members always include an honest one: f + 1.
    #[must_use]
    pub fn witness_count(&self) -> usize {
        usize::from(self.f).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    // Goal: a network file that is not whole is refused by name.
    use super::*;
    use crate::testing;

    #[test]
    fn a_network_file_gives_the_doors_by_index() {
        let (network, _keys) = testing::network();
        let view = NetworkView::new(&network).unwrap();
        assert_eq!((view.members.len(), view.f, view.witness_count(), view.quorum()), (4, 1, 2, 3));
        assert_eq!(view.members[2].receipt_name, "example.net/test/m2/receipt");
        assert_eq!(view.id, network_id(&network.genesis));
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        let refused = |change: fn(&mut Network)| {
            let (mut network, _keys) = testing::network();
            change(&mut network);
            NetworkView::new(&network).unwrap_err()
        };
        assert_eq!(refused(|n| n.genesis.members.truncate(3)), ViewError::Members(3));
        assert_eq!(refused(|n| n.genesis.members.truncate(1)), ViewError::Members(1));
        assert_eq!(refused(|n| n.addresses.truncate(3)), ViewError::Address(MemberId(3)));
        assert_eq!(refused(|n| n.addresses[3].member = MemberId(0)), ViewError::Address(MemberId(0)));
        assert!(matches!(refused(|n| n.keys.decrypt.swap(0, 1)), ViewError::Keys(_)));
    }
}
