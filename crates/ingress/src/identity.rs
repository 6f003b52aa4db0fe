//! The certificate of a member's door, and the configurations that pin it.
//!
//! Self-signed, ed25519, X.509 so that any QUIC stack can connect. Its validity dates and names mean nothing: clients
//! compare SHA-256 of the SPKI with the pin of the network file and check the handshake's signature, no more.
use crate::{CloseCode, IngressLimits};
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rcgen::PublicKeyData as _;
use rustls::{
    DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};
use types::{Hash, wire::ALPN};
use zeroize::Zeroizing;

/// PKCS#8 v1 of an ed25519 key (RFC 8410): these bytes, then the seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The name in certificate and SNI; nobody checks it.
pub(crate) const SERVER_NAME: &str = "lockstep";

/// Why a key cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The bytes are no PKCS#8 of an ed25519 key as [`TlsIdentity::to_bytes`] writes it.
    #[error("not a pkcs#8 ed25519 key")]
    Key,
    /// The certificate could not be made.
    #[error("certificate")]
    Certificate(#[from] rcgen::Error),
    /// rustls refused the configuration.
    #[error("tls configuration")]
    Tls(#[from] rustls::Error),
    /// The provider lacks TLS_AES_128_GCM_SHA256.
    #[error("no initial cipher suite")]
    Suite(#[from] NoInitialCipherSuite),
}

/// A member's TLS key and certificate. Equal seeds give equal certificates.
///
/// # Security
/// The key is separate from every other key of the member. Wiped here on drop; the copies inside rustls and ring are not.
pub struct TlsIdentity {
    pkcs8: Zeroizing<Vec<u8>>,
    certificate: CertificateDer<'static>,
    pin: Hash,
}

impl core::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TlsIdentity").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl TlsIdentity {
    /// The identity of a seed.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when the certificate cannot be made.
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Result<Self, IdentityError> {
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(48));
        pkcs8.extend_from_slice(&PKCS8_PREFIX);
        pkcs8.extend_from_slice(seed.as_slice());
        Self::from_bytes(&pkcs8)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`IdentityError::Key`] for other bytes, [`IdentityError::Certificate`] as [`Self::from_seed`].
    pub fn from_bytes(pkcs8: &[u8]) -> Result<Self, IdentityError> {
        if pkcs8.len() != PKCS8_PREFIX.len() + 32 || !pkcs8.starts_with(&PKCS8_PREFIX) {
            return Err(IdentityError::Key);
        }
        let pkcs8 = Zeroizing::new(pkcs8.to_vec());
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)?;
        let pin = Hash(Sha256::digest(key.subject_public_key_info()).into());
        let mut params = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { pkcs8, certificate, pin })
    }

    /// PKCS#8 DER of the key, 48 bytes: what openssl reads, and what a private file keeps.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// SHA-256 of the SPKI: `tls` of the member's record.
    #[must_use]
    pub const fn pin(&self) -> Hash {
        self.pin
    }

    pub(crate) fn server_config(&self, limits: &IngressLimits) -> Result<quinn::ServerConfig, IdentityError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()));
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.max_early_data_size = 0;
        tls.send_tls13_tickets = 0;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        let mut transport = quinn::TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(limits.streams_max.into())
            .max_concurrent_uni_streams(0u32.into())
            .stream_receive_window(limits.stream_window.into())
            .receive_window(limits.connection_window.into())
            .send_window(limits.send_window.into())
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(quinn::IdleTimeout::from(quinn::VarInt::from_u32(limits.idle_ms))));
        config.transport_config(Arc::new(transport)).migration(true).max_incoming(limits.incoming_max);
        Ok(config)
    }
}

/// A client's configuration for one pinned key.
pub(crate) fn client_config(pin: Hash, limits: &IngressLimits) -> Result<quinn::ClientConfig, IdentityError> {
    let provider = Arc::new(default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, provider }))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = false;
    tls.resumption = Resumption::disabled();
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(0u32.into())
        .max_concurrent_uni_streams(limits.subscriptions_max.into())
        .stream_receive_window(limits.connection_window.into())
        .receive_window(limits.connection_window.saturating_mul(2).into())
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(Duration::from_millis(u64::from(limits.idle_ms).div_ceil(3))))
        .max_idle_timeout(Some(quinn::IdleTimeout::from(quinn::VarInt::from_u32(limits.idle_ms))));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Accepts one key, whatever the certificate says about itself.
#[derive(Debug)]
struct Pinned {
    pin: Hash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if Sha256::digest(&spki).as_slice() == self.pin.as_bytes() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// Closes a connection with a code and its name.
pub(crate) fn close(connection: &quinn::Connection, code: CloseCode, reason: &str) {
    connection.close(code.code(), reason.as_bytes());
}

#[cfg(test)]
mod tests {
    // Goal: a seed gives one certificate and one pin, and only a whole key is read back.
    use super::*;

    #[test]
    fn a_seed_gives_one_identity() {
        let a = TlsIdentity::from_seed(&Zeroizing::new([7; 32])).unwrap();
        let b = TlsIdentity::from_bytes(&a.to_bytes()).unwrap();
        assert_eq!((a.pin(), a.certificate()), (b.pin(), b.certificate()));
        let c = TlsIdentity::from_seed(&Zeroizing::new([8; 32])).unwrap();
        assert_ne!(a.pin(), c.pin());
    }

    #[test]
    fn the_pin_is_sha_256_of_the_spki_in_the_certificate() {
        let a = TlsIdentity::from_seed(&Zeroizing::new([7; 32])).unwrap();
        let der = CertificateDer::from(a.certificate());
        let spki = ParsedCertificate::try_from(&der).unwrap().subject_public_key_info();
        assert_eq!(spki.len(), 44);
        assert!(spki.starts_with(&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]));
        assert_eq!(a.pin(), Hash(Sha256::digest(&spki).into()));
    }

    #[test]
    fn other_bytes_are_no_key() {
        let bytes = TlsIdentity::from_seed(&Zeroizing::new([7; 32])).unwrap().to_bytes();
        assert!(matches!(TlsIdentity::from_bytes(&bytes[..47]), Err(IdentityError::Key)));
        let mut wrong = bytes.to_vec();
        wrong[9] ^= 1;
        assert!(matches!(TlsIdentity::from_bytes(&wrong), Err(IdentityError::Key)));
        assert!(!format!("{:?}", TlsIdentity::from_bytes(&bytes).unwrap()).contains("pkcs8"));
    }
}
