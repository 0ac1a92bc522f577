//! Which certificates are trusted.

use std::{env, ffi::OsString};

use forethought_sdk::prelude::*;
use reqwest::Url;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;

/// Trusts the machine's certificates. Plain HTTP needs none, so it works on a machine without certificates.
pub(crate) fn config(url: &Url) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?;
    if url.scheme() == "http" {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let inner = Verifier::new(provider).context("cannot read the machine's certificates")?;
    let named = named(env::var_os("SSL_CERT_FILE"));
    let verifier = Arc::new(Trust { inner, named });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The certificates in this file; the platform's verifier reports a file that cannot be read.
fn named(file: Option<OsString>) -> Vec<CertificateDer<'static>> {
    let certificates = file.and_then(|file| CertificateDer::pem_file_iter(file).ok());
    certificates.into_iter().flatten().flatten().collect()
}

/// The platform's verifier, which also accepts a server's own certificate where `SSL_CERT_FILE` contains that very
/// certificate. `openssl req -x509` makes such certificates: they are marked as an issuer's, and are refused otherwise.
#[derive(Debug)]
struct Trust {
    inner: Verifier,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refused = match self.inner.verify_server_cert(certificate, others, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        // Reported only after the dates were found valid.
        let issuer = matches!(&refused, rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if other.0.to_string().contains("CaUsedAsEndEntity"));
        if !issuer || !self.named.iter().any(|named| named == certificate) {
            return Err(refused);
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Made by `openssl req -x509` for `localhost`, valid from 2026-11-30 to 2036-11-27; its key was thrown away.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBlDCCATmgAwIBAgIUGrtM02DdC44J3/sTPvMVUPitdLQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTI2MTEzMDAyNTYwN1oXDTM2MTEyNzAy
NTYwN1owFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEQCtzaxRGXBWiwtSF1YQ/1O9pDe9YxXWnYGkHBDNAMlSz9NN7BPjCT0FG
MbYfjYrqwTB2d//z/0eEnUI0P7KzCKNpMGcwHQYDVR0OBBYEFIa2L/8j5ypwcU7G
OU7er++HSQ2PMB8GA1UdIwQYMBaAFIa2L/8j5ypwcU7GOU7er++HSQ2PMA8GA1Ud
EwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxob3N0MAoGCCqGSM49BAMCA0kA
MEYCIQCq0nVwD0VkjBFKw5VqTPmHoqfSFqOw79dFdg2Tz0aXsQIhAKcU0xE5Q6V8
95aUTRZQrYiyg2JQ1y1ke1xu5ceXtnKV
-----END CERTIFICATE-----
";

    #[test]
    fn a_servers_own_certificate_is_trusted_where_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cert.pem");
        std::fs::write(&file, CERTIFICATE).unwrap();
        let certificates = named(Some(file.into()));
        let [certificate] = &certificates[..] else { panic!("{certificates:?}") };
        let verify = |named: &[CertificateDer<'static>], name: &'static str, year: u64| {
            let provider = Arc::new(ring::default_provider());
            let inner = Verifier::new_with_extra_roots([certificate.clone()], provider).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
            let name = ServerName::try_from(name).unwrap();
            let trust = Trust { inner, named: named.to_vec() };
            trust.verify_server_cert(certificate, &[], &name, &[], now).is_ok()
        };
        assert!(verify(&certificates, "localhost", 2030));
        assert!(!verify(&[], "localhost", 2030), "not named");
        assert!(!verify(&certificates, "example.org", 2030), "another name");
        assert!(!verify(&certificates, "localhost", 2040), "expired");
        assert!(!verify(&certificates, "localhost", 2020), "not valid yet");
        assert!(named(Some("no such file".into())).is_empty());
    }
}
