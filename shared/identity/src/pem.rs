//! PEM, in bounds.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::IdentityError;

/// Most certificates in one text.
pub(crate) const CERTIFICATES: usize = 32;
/// Longest text, in bytes.
pub(crate) const BYTES: usize = 256 * 1024;

/// The certificates of a text, in their order; at least one. Other blocks are refused: a key does not belong beside what is public.
pub(crate) fn certificates(
    what: &'static str,
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    if text.len() > BYTES {
        return Err(IdentityError::malformed(what, format!("it is longer than {BYTES} bytes")));
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(IdentityError::refused(
            what,
            "it holds a private key; keep that in a file of its own, closed to others",
        ));
    }
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate =
            certificate.map_err(|error| IdentityError::malformed(what, format!("it is no PEM: {error}")))?;
        if found.len() == CERTIFICATES {
            return Err(IdentityError::malformed(
                what,
                format!("it holds more than {CERTIFICATES} certificates"),
            ));
        }
        found.push(certificate);
    }
    if found.is_empty() {
        return Err(IdentityError::malformed(
            what,
            "it holds no certificate; it should have lines -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(found)
}

/// Certificates as one text.
pub(crate) fn encode(certificates: &[CertificateDer<'_>]) -> String {
    let blocks: Vec<::pem::Pem> =
        certificates.iter().map(|der| ::pem::Pem::new("CERTIFICATE", der.as_ref())).collect();
    let lines = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    ::pem::encode_many_config(&blocks, lines)
}
