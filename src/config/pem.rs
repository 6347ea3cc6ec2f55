//! PEM (RFC 7468) and DER: what a file of certificates or keys holds, as bytes.

use memchr::memmem;
use pem_rfc7468::Decoder;
use zeroize::Zeroizing;

use super::limits;

/// What a file holds.
pub(super) enum Content {
    /// Blocks between `-----BEGIN …-----` and `-----END …-----`; whatever stands around them is left out.
    Pem(Vec<Block>),
    /// One thing as it is.
    Der(Zeroizing<Vec<u8>>),
}

/// A block of PEM.
pub(super) struct Block {
    /// Such as `CERTIFICATE`.
    pub(super) label: String,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Why a file is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemError {
    #[error("is empty")]
    Empty,
    #[error("holds neither PEM nor DER")]
    Neither,
    #[error("is UTF-16 text; save it as UTF-8")]
    Utf16,
    #[error("ends in the middle of `{0}`")]
    Unfinished(String),
    #[error("has a damaged `{0}`")]
    Damaged(String),
    #[error("is encrypted in OpenSSL's old way; rewrite it by `openssl pkcs8 -topk8 -in OLD -out NEW`")]
    OldEncryption,
    #[error("holds more than {} things", limits::BLOCKS)]
    TooMany,
}

/// Takes a file apart.
pub(super) fn read(bytes: &[u8]) -> Result<Content, PemError> {
    if bytes.is_empty() {
        return Err(PemError::Empty);
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(PemError::Utf16);
    }
    if memmem::find(bytes, BEGIN).is_some() {
        return blocks(bytes).map(Content::Pem);
    }
    // Everything that is meant here is a SEQUENCE.
    if bytes.first() == Some(&0x30) {
        return Ok(Content::Der(Zeroizing::new(bytes.to_vec())));
    }
    Err(PemError::Neither)
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

fn blocks(bytes: &[u8]) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        // A byte order mark may stand before the first.
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        if let Some(label) = label(line, BEGIN) {
            if blocks.len() >= limits::BLOCKS {
                return Err(PemError::TooMany);
            }
            blocks.push(block(label, &mut lines, bytes.len())?);
        }
    }
    Ok(blocks)
}

fn label(line: &[u8], mark: &[u8]) -> Option<String> {
    let label = line.strip_prefix(mark)?.strip_suffix(DASHES)?;
    let label = std::str::from_utf8(label).ok()?;
    let fine = label.len() <= 64 && label.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    fine.then(|| label.to_owned())
}

/// The rest of a block, whose lines are of one length, whatever it is.
fn block<'l>(
    label: String,
    lines: &mut impl Iterator<Item = &'l [u8]>,
    most: usize,
) -> Result<Block, PemError> {
    let damaged = || PemError::Damaged(label.clone());
    // Room for all of it from the start: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(most.saturating_add(label.len() * 2 + 64)));
    text.extend([BEGIN, label.as_bytes(), DASHES, b"\n"].concat());
    loop {
        let line = lines.next().ok_or_else(|| PemError::Unfinished(label.clone()))?;
        if let Some(end) = self::label(line, END) {
            if end != label {
                return Err(damaged());
            }
            break;
        }
        // RFC 1421's headers, which RFC 7468 has done away with.
        if line.contains(&b':') {
            let encrypted = memmem::find(line, b"ENCRYPTED").is_some();
            return Err(if encrypted { PemError::OldEncryption } else { damaged() });
        }
        if !line.is_empty() {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
    text.extend([END, label.as_bytes(), DASHES, b"\n"].concat());
    let mut der = Zeroizing::new(vec![0; text.len()]);
    let mut decoder = Decoder::new_detect_wrap(&text).map_err(|_| damaged())?;
    let length = decoder.remaining_len();
    decoder.decode(der.get_mut(..length).ok_or_else(damaged)?).map_err(|_| damaged())?;
    if length == 0 || !decoder.is_finished() {
        return Err(damaged());
    }
    der.truncate(length);
    Ok(Block { label, der })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, PemError> {
        match read(bytes)? {
            Content::Pem(blocks) => Ok(blocks.into_iter().map(|b| (b.label, b.der.to_vec())).collect()),
            Content::Der(der) => Ok(vec![("DER".to_owned(), der.to_vec())]),
        }
    }

    fn one(label: &str, der: &[u8]) -> Vec<(String, Vec<u8>)> {
        vec![(label.to_owned(), der.to_vec())]
    }

    #[test]
    fn what_tools_write_is_read() {
        let strict = "-----BEGIN X-----\nAAEC\n-----END X-----\n";
        assert_eq!(pem(strict.as_bytes()), Ok(one("X", &[0, 1, 2])));
        for odd in [
            strict.replace('\n', "\r\n"),
            strict.replace('\n', " \n\n"),
            format!("\u{feff}{strict}"),
            format!("Bag Attributes\n    friendlyName: 診療所\n{strict}"),
            format!("{strict}\nCertificate:\n  Data:"),
        ] {
            assert_eq!(pem(odd.as_bytes()), Ok(one("X", &[0, 1, 2])), "{odd:?}");
        }
        let long = format!("-----BEGIN X-----\n{}\n-----END X-----", "AAEC".repeat(100));
        assert_eq!(pem(long.as_bytes()), Ok(one("X", &[0, 1, 2].repeat(100))));
        let two = format!("{strict}{}", strict.replace('X', "EC PRIVATE KEY"));
        assert_eq!(pem(two.as_bytes()).unwrap().len(), 2);
        assert_eq!(pem(&[0x30, 0x00]), Ok(one("DER", &[0x30, 0])));
    }

    #[test]
    fn what_is_damaged_is_named() {
        let damaged = |label: &str| Err(PemError::Damaged(label.to_owned()));
        assert_eq!(pem(b""), Err(PemError::Empty));
        assert_eq!(pem(b"\xff\xfe-\0-\0"), Err(PemError::Utf16));
        assert_eq!(pem(b"hospital"), Err(PemError::Neither));
        assert_eq!(pem(b"-----BEGIN X-----\nAAEC\n"), Err(PemError::Unfinished("X".to_owned())));
        assert_eq!(pem(b"-----BEGIN X-----\nAAEC\n-----END Y-----"), damaged("X"));
        assert_eq!(pem(b"-----BEGIN X-----\nAA*C\n-----END X-----"), damaged("X"));
        assert_eq!(pem(b"-----BEGIN X-----\nAAE\n-----END X-----"), damaged("X"));
        assert_eq!(pem(b"-----BEGIN X-----\n-----END X-----"), damaged("X"));
        let old = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(pem(old), Err(PemError::OldEncryption));
        let many = "-----BEGIN X-----\nAAEC\n-----END X-----\n".repeat(limits::BLOCKS + 1);
        assert_eq!(pem(many.as_bytes()), Err(PemError::TooMany));
        // No block at all is no error of this layer.
        assert_eq!(pem(b"-----BEGIN X"), Ok(Vec::new()));
    }
}
