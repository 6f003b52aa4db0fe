//! The one place that draws randomness; everything else takes 32 bytes as an argument.
use rand::{TryRng as _, rngs::SysRng};
use zeroize::Zeroizing;

/// Where 32 bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operating system.
    System,
    /// A seed, for demos that can be repeated. Whoever knows it knows every key that was drawn.
    Seed(u64),
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoEntropy;

impl Source {
    /// 32 bytes for one purpose. `label` and `index` tell purposes apart when a seed is used.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn draw(self, label: &str, index: u64) -> Result<Zeroizing<[u8; 32]>, NoEntropy> {
        match self {
            Self::System => {
                let mut bytes = Zeroizing::new([0u8; 32]);
                SysRng.try_fill_bytes(&mut bytes[..]).map_err(|_os| NoEntropy)?;
                Ok(bytes)
            }
            Self::Seed(seed) => {
                let parts: [&[u8]; 4] = [b"demo", &seed.to_le_bytes(), label.as_bytes(), &index.to_le_bytes()];
                Ok(Zeroizing::new(crypto::hash::t256("lockstep demo seed", &parts).0))
            }
        }
    }
}
