//! What the rules read of an envelope's header.
use alloc::vec::Vec;
use types::{Address, Amount, EnvelopeHeader, Epoch, Hash, Nonce, Params, SizeClass, Slot, limits, reason::Reason};

/// The clear terms of one envelope. Shape: `after` strictly ascending, as in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Envelope hash.
    pub hash: Hash,
    /// Epoch whose decryption key was used.
    pub epoch: Epoch,
    /// The last slot that may include it.
    pub expiry: Slot,
    /// Who pays.
    pub account: Address,
    /// Contiguous per account.
    pub nonce: Nonce,
    /// Size class.
    pub size: u8,
    /// Gas class.
    pub gas: u8,
    /// Most that the payer pays for inclusion.
    pub max_fee: Amount,
    /// Envelopes that must stand before it.
    pub after: Vec<Hash>,
}

impl Terms {
    /// The terms of a header whose envelope has this hash.
    #[must_use]
    pub fn of(hash: Hash, header: &EnvelopeHeader) -> Self {
        Self {
            hash,
            epoch: header.epoch,
            expiry: header.expiry_slot,
            account: header.fee_account,
            nonce: header.nonce,
            size: header.size_class,
            gas: header.gas_class,
            max_fee: header.max_fee,
            after: header.after.clone(),
        }
    }
    /// Bytes of the size class; 0 for a class that does not exist.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        class_bytes(self.size)
    }
    /// Gas of the gas class, or `None` when it does not fit 64 bits.
    #[must_use]
    pub fn gas_units(&self) -> Option<u64> {
        class_gas(self.gas)
    }
    /// A-27 and section 3: the classes exist, and the unit is open to inclusion in `slot`.
    /// Resharing keeps the key, so envelopes of earlier epochs open in this one.
    pub(crate) fn admissible(&self, params: &Params, slot: Slot) -> bool {
        SizeClass::new(self.size).is_some()
            && gas_class_max(params).is_some_and(|max| self.gas <= max)
            && self.epoch <= params.schedule().epoch_of(slot)
            && self.expiry >= slot
            && self.expiry <= slot.plus(params.expiry_slots_max)
            && self.after.len() <= limits::AFTER_MAX
    }
}

/// What a header must hold in `slot`, before money, nonces and signatures: the checks that cost nothing, in the order of
/// wallets-and-builders.md section 7. An envelope names the epoch of `slot` or an earlier one: resharing keeps the key.
///
/// # Errors
/// [`Reason::MalformedData`], [`Reason::WrongNetwork`], [`Reason::WrongEpoch`], [`Reason::Expired`].
pub fn admissible(header: &EnvelopeHeader, network: &Hash, slot: Slot, params: &Params) -> Result<(), Reason> {
    let ascending = header.after.iter().zip(header.after.iter().skip(1)).all(|(one, next)| one < next);
    let classes = header.class().is_some() && gas_class_max(params).is_some_and(|max| header.gas_class <= max);
    if header.version != EnvelopeHeader::VERSION || !classes || !ascending || header.after.len() > limits::AFTER_MAX {
        return Err(Reason::MalformedData);
    }
    if header.network != *network {
        return Err(Reason::WrongNetwork);
    }
    if header.epoch > params.schedule().epoch_of(slot) {
        return Err(Reason::WrongEpoch);
    }
    if header.expiry_slot < slot || header.expiry_slot > slot.plus(params.expiry_slots_max) {
        return Err(Reason::Expired);
    }
    Ok(())
}

pub(crate) fn class_bytes(size: u8) -> u64 {
    SizeClass::new(size).and_then(|class| u64::try_from(class.bytes()).ok()).unwrap_or(0)
}

pub(crate) fn class_gas(gas: u8) -> Option<u64> {
    1u64.checked_shl(u32::from(gas))
}

/// A share of a slot limit: floor(limit x bps / 10^4).
pub(crate) fn share_floor(limit: u64, bps: u16) -> u64 {
    let share = u128::from(limit).saturating_mul(u128::from(bps)).checked_div(10_000).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// The largest gas class a network admits: 2^class is at most 1/8 of the forced gas cap. `None` when even 2^0 is not.
#[must_use]
pub fn gas_class_max(params: &Params) -> Option<u8> {
    let eighth = share_floor(params.gas_limit, params.forced_bps).checked_shr(3)?;
    let class = u8::try_from(eighth.checked_ilog2()?).ok()?;
    Some(class.min(limits::GAS_CLASS_MAX))
}

#[cfg(test)]
mod tests {
    // Goal: the classes of A-27 at the defaults and at the edges.
    use super::*;

    #[test]
    fn a27_the_default_network_admits_gas_class_24() {
        let mut params = Params::default_for(500);
        assert_eq!(gas_class_max(&params), Some(24));
        params.gas_limit = 16;
        assert_eq!(gas_class_max(&params), Some(0));
        params.gas_limit = 15;
        assert_eq!(gas_class_max(&params), None);
    }
}
