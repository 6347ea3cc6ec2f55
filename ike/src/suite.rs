//! The algorithms that we implement, and nothing weaker (RFC 8247, RFC 8221).
//!
//! A value that is not in these enums cannot be configured, offered or accepted. What a peer names beyond them
//! stays a number in [`crate::wire`].

use std::fmt;
use std::str::FromStr;

/// Authenticated ciphers for SK (RFC 5282) and ESP (RFC 4106), all with a tag of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cipher {
    /// `ENCR_AES_GCM_16`, key of 256 bits.
    Aes256Gcm16,
    /// `ENCR_AES_GCM_16`, key of 128 bits.
    Aes128Gcm16,
}

impl Cipher {
    /// All, best first.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm16, Self::Aes128Gcm16];
    /// Bytes of salt that follow the key in the key material (RFC 4106 §8.1).
    pub const SALT_LENGTH: usize = 4;

    /// Bytes of the key proper.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes256Gcm16 => 32,
            Self::Aes128Gcm16 => 16,
        }
    }

    /// Bytes of key material: key and salt.
    pub const fn keymat_length(self) -> usize {
        self.key_length() + Self::SALT_LENGTH
    }
}

/// Pseudo-random functions (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prf {
    /// `PRF_HMAC_SHA2_256`.
    HmacSha256,
    /// `PRF_HMAC_SHA2_384`.
    HmacSha384,
    /// `PRF_HMAC_SHA2_512`.
    HmacSha512,
}

impl Prf {
    /// All, in the order offered.
    pub const ALL: [Self; 3] = [Self::HmacSha384, Self::HmacSha256, Self::HmacSha512];

    /// Bytes of output, which is also the preferred length of its key.
    pub const fn output_length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// Key exchange methods (transform type 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Curve25519 (RFC 8031).
    X25519,
    /// NIST P-256 (RFC 5903).
    P256,
    /// NIST P-384 (RFC 5903).
    P384,
    /// 3072-bit MODP (RFC 3526).
    Modp3072,
    /// 2048-bit MODP (RFC 3526), a MUST of RFC 8247.
    Modp2048,
}

impl Group {
    /// All, best first.
    pub const ALL: [Self; 5] = [Self::X25519, Self::P256, Self::P384, Self::Modp3072, Self::Modp2048];
}

macro_rules! algorithm_names {
    ($type:ty, $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// Its name in configurations and in `status`, as strongSwan writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
        impl FromStr for $type {
            type Err = UnknownAlgorithm;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownAlgorithm(text.to_owned())),
                }
            }
        }
    };
}

algorithm_names!(Cipher, Aes256Gcm16 = "aes256gcm16", Aes128Gcm16 = "aes128gcm16");
algorithm_names!(Prf, HmacSha256 = "prfsha256", HmacSha384 = "prfsha384", HmacSha512 = "prfsha512");
algorithm_names!(
    Group,
    X25519 = "x25519",
    P256 = "ecp256",
    P384 = "ecp384",
    Modp3072 = "modp3072",
    Modp2048 = "modp2048"
);

/// A word that names no algorithm of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm `{0}`")]
pub struct UnknownAlgorithm(pub String);

/// Why a text is no proposal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// A word that names no algorithm of ours.
    #[error("unknown algorithm `{word}`; allowed are {allowed}")]
    Unknown {
        /// The word.
        word: String,
        /// The words that would do.
        allowed: String,
    },
    /// A kind of transform that a proposal cannot do without.
    #[error("a proposal needs {0}")]
    Missing(&'static str),
    /// The same word twice.
    #[error("`{0}` stands twice")]
    Twice(String),
}

/// What we would accept for an IKE SA: one of each list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeProposal {
    /// Ciphers, preferred first.
    pub ciphers: Vec<Cipher>,
    /// Pseudo-random functions, preferred first.
    pub prfs: Vec<Prf>,
    /// Alternatives for the key exchange of `IKE_SA_INIT`, preferred first. Additional exchanges (RFC 9370)
    /// will be further lists like this one.
    pub groups: Vec<Group>,
}

impl Default for IkeProposal {
    fn default() -> Self {
        Self { ciphers: Cipher::ALL.into(), prfs: Prf::ALL.into(), groups: Group::ALL.into() }
    }
}

/// What we would accept for a Child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspProposal {
    /// Ciphers, preferred first.
    pub ciphers: Vec<Cipher>,
    /// Key exchanges for rekeys (perfect forward secrecy), preferred first; empty: none.
    pub groups: Vec<Group>,
    /// Extended sequence numbers, preferred first (RFC 4303 §2.2.1).
    pub esn: Vec<Esn>,
}

impl Default for EspProposal {
    fn default() -> Self {
        Self { ciphers: Cipher::ALL.into(), groups: Group::ALL.into(), esn: Esn::ALL.into() }
    }
}

/// Whether sequence numbers have 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Esn {
    /// 64 bits.
    Extended,
    /// 32 bits.
    Short,
}

impl Esn {
    /// Both, the better first.
    pub const ALL: [Self; 2] = [Self::Extended, Self::Short];
}

algorithm_names!(Esn, Extended = "esn", Short = "noesn");

impl FromStr for IkeProposal {
    type Err = ProposalError;

    /// Words joined by `-`: `aes256gcm16-prfsha384-x25519-ecp384`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut proposal = Self { ciphers: vec![], prfs: vec![], groups: vec![] };
        for word in text.split('-') {
            let fresh = push(&mut proposal.ciphers, word)
                .or_else(|_| push(&mut proposal.prfs, word))
                .or_else(|_| push(&mut proposal.groups, word));
            taken(&fresh, word, &[&names(&Cipher::ALL), &names(&Prf::ALL), &names(&Group::ALL)])?;
        }
        require(&proposal.ciphers, "a cipher, such as aes256gcm16")?;
        require(&proposal.prfs, "a pseudo-random function, such as prfsha384")?;
        require(&proposal.groups, "a key exchange, such as x25519")?;
        Ok(proposal)
    }
}

impl FromStr for EspProposal {
    type Err = ProposalError;

    /// Words joined by `-`: `aes256gcm16-x25519-noesn`. Without `esn` or `noesn` both are offered, without a
    /// key exchange there is no perfect forward secrecy.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut proposal = Self { ciphers: vec![], groups: vec![], esn: vec![] };
        for word in text.split('-') {
            let fresh = push(&mut proposal.ciphers, word)
                .or_else(|_| push(&mut proposal.groups, word))
                .or_else(|_| push(&mut proposal.esn, word));
            taken(&fresh, word, &[&names(&Cipher::ALL), &names(&Group::ALL), &names(&Esn::ALL)])?;
        }
        require(&proposal.ciphers, "a cipher, such as aes256gcm16")?;
        if proposal.esn.is_empty() {
            proposal.esn = Esn::ALL.into();
        }
        Ok(proposal)
    }
}

fn push<T: FromStr + PartialEq>(list: &mut Vec<T>, word: &str) -> Result<bool, T::Err> {
    let value: T = word.parse()?;
    let fresh = !list.contains(&value);
    list.push(value);
    Ok(fresh)
}

fn taken(fresh: &Result<bool, UnknownAlgorithm>, word: &str, allowed: &[&str]) -> Result<(), ProposalError> {
    match fresh {
        Ok(true) => Ok(()),
        Ok(false) => Err(ProposalError::Twice(word.to_owned())),
        Err(_) => Err(ProposalError::Unknown { word: word.to_owned(), allowed: allowed.join(", ") }),
    }
}

fn require<T>(list: &[T], what: &'static str) -> Result<(), ProposalError> {
    if list.is_empty() { Err(ProposalError::Missing(what)) } else { Ok(()) }
}

fn names<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn join(words: impl Iterator<Item = &'static str>) -> String {
    words.collect::<Vec<_>>().join("-")
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.ciphers.iter().map(|c| c.name());
        let words = words.chain(self.prfs.iter().map(|p| p.name()));
        f.write_str(&join(words.chain(self.groups.iter().map(|g| g.name()))))
    }
}

impl fmt::Display for EspProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.ciphers.iter().map(|c| c.name());
        let words = words.chain(self.groups.iter().map(|g| g.name()));
        f.write_str(&join(words.chain(self.esn.iter().map(|e| e.name()))))
    }
}

/// The algorithms of one IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeSuite {
    /// Protects SK payloads.
    pub cipher: Cipher,
    /// Derives the keys and proves the identities.
    pub prf: Prf,
    /// The key exchange.
    pub group: Group,
}

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.cipher, self.prf, self.group)
    }
}

/// The algorithms of one Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspSuite {
    /// Protects packets.
    pub cipher: Cipher,
    /// The key exchange of its own, if it had one; the first Child SA of an IKE SA never has.
    pub group: Option<Group>,
    /// Width of the sequence numbers.
    pub esn: Esn,
}

impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cipher)?;
        if let Some(group) = self.group {
            write!(f, "-{group}")?;
        }
        write!(f, "-{}", self.esn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_read_back_as_they_print() {
        for text in ["aes256gcm16-prfsha384-x25519", "aes128gcm16-aes256gcm16-prfsha256-modp2048-ecp256"] {
            assert_eq!(text.parse::<IkeProposal>().expect(text).to_string(), text);
        }
        assert_eq!("aes256gcm16".parse::<EspProposal>().expect("esp").to_string(), "aes256gcm16-esn-noesn");
    }

    #[test]
    fn weak_or_unknown_words_are_refused_by_name() {
        for word in ["3des", "sha1", "modp1024", "aes256", "md5", ""] {
            let error = format!("aes256gcm16-prfsha256-{word}").parse::<IkeProposal>().expect_err(word);
            assert!(matches!(&error, ProposalError::Unknown { word: w, .. } if w == word), "{error}");
        }
        assert_eq!(
            "prfsha256-x25519".parse::<IkeProposal>(),
            Err(ProposalError::Missing("a cipher, such as aes256gcm16"))
        );
        assert_eq!(
            "aes256gcm16-aes256gcm16".parse::<EspProposal>(),
            Err(ProposalError::Twice("aes256gcm16".into()))
        );
    }
}
