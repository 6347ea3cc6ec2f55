//! Proposals: which algorithms we would have, and their text.

use std::fmt;
use std::str::FromStr;

use super::IkeSuite;
use super::algorithm::{Aead, Cbc, Esn, Group, Integrity, Prf, Protection, UnknownAlgorithm};

/// The ciphers of a proposal. The two kinds never stand in one (RFC 5282 §8): "If an initiator wants to propose both
/// combined-mode ciphers and normal ciphers, it must include two proposals" (RFC 7296 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ciphers {
    /// Ciphers that prove too, preferred first.
    Aead(Vec<Aead>),
    /// Ciphers and integrity algorithms, preferred first.
    Cbc(Vec<Cbc>, Vec<Integrity>),
}

impl From<Protection> for Ciphers {
    /// These and no others.
    fn from(protection: Protection) -> Self {
        match protection {
            Protection::Aead(aead) => Self::Aead(vec![aead]),
            Protection::Cbc(cbc, integrity) => Self::Cbc(vec![cbc], vec![integrity]),
        }
    }
}

impl Ciphers {
    /// Whether the proposal allows it.
    pub fn holds(&self, protection: Protection) -> bool {
        match (self, protection) {
            (Self::Aead(ours), Protection::Aead(aead)) => ours.contains(&aead),
            (Self::Cbc(ciphers, integrities), Protection::Cbc(cbc, integrity)) => {
                ciphers.contains(&cbc) && integrities.contains(&integrity)
            }
            _ => false,
        }
    }

    /// The one that needs no integrity algorithm, all of it that is offered unasked.
    fn default_aead() -> Self {
        Self::Aead(Aead::DEFAULT.into())
    }

    fn words(&self) -> Vec<&'static str> {
        match self {
            Self::Aead(aeads) => aeads.iter().map(|a| a.name()).collect(),
            Self::Cbc(ciphers, integrities) => {
                ciphers.iter().map(|c| c.name()).chain(integrities.iter().map(|i| i.name())).collect()
            }
        }
    }
}

/// What we would accept for an IKE SA: one of each list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeProposal {
    /// Ciphers.
    pub ciphers: Ciphers,
    /// Pseudo-random functions, preferred first.
    pub prfs: Vec<Prf>,
    /// Alternatives for the key exchange of `IKE_SA_INIT`, preferred first. Additional exchanges (RFC 9370)
    /// will be further lists like this one.
    pub groups: Vec<Group>,
}

impl IkeProposal {
    /// Whether the proposal allows it.
    pub fn holds(&self, suite: IkeSuite) -> bool {
        self.ciphers.holds(suite.protection)
            && self.prfs.contains(&suite.prf)
            && self.groups.contains(&suite.group)
    }
}

impl Default for IkeProposal {
    fn default() -> Self {
        Self { ciphers: Ciphers::default_aead(), prfs: Prf::ALL.into(), groups: Group::DEFAULT.into() }
    }
}

/// What we would accept for a Child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspProposal {
    /// Ciphers.
    pub ciphers: Ciphers,
    /// Key exchanges for rekeys (perfect forward secrecy), preferred first; empty: none.
    pub groups: Vec<Group>,
    /// Whether a peer that wants no key exchange gets its way, although there are `groups`.
    pub pfs_may_be_declined: bool,
    /// Extended sequence numbers, preferred first (RFC 4303 §2.2.1).
    pub esn: Vec<Esn>,
}

impl Default for EspProposal {
    fn default() -> Self {
        Self {
            ciphers: Ciphers::default_aead(),
            groups: Group::DEFAULT.into(),
            pfs_may_be_declined: false,
            esn: Esn::ALL.into(),
        }
    }
}

/// The word behind the groups of an ESP proposal that lets the peer decline perfect forward secrecy.
pub const NOPFS: &str = "nopfs";

/// What others call otherwise, and the word for it here.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("aes128gcm", "aes128gcm16"),
    ("aes128gcm128", "aes128gcm16"),
    ("aes128gcm64", "aes128gcm8"),
    ("aes128gcm96", "aes128gcm12"),
    ("aes256gcm", "aes256gcm16"),
    ("aes256gcm128", "aes256gcm16"),
    ("aes256gcm64", "aes256gcm8"),
    ("aes256gcm96", "aes256gcm12"),
    ("curve25519", "x25519"),
    ("dh14", "modp2048"),
    ("dh19", "ecp256"),
    ("dh20", "ecp384"),
    ("dh31", "x25519"),
    ("sha2_256", "sha256"),
];

fn called_here(word: &str) -> String {
    let known = OTHER_NAMES.iter().find(|(theirs, _)| *theirs == word);
    known.map_or_else(String::new, |(_, ours)| format!(", which is `{ours}` here"))
}

/// Why a text is no proposal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// A word that names no algorithm of ours.
    #[error("unknown algorithm `{word}`{}; allowed are {allowed}", called_here(word))]
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
    /// Ciphers of both kinds.
    #[error("`{0}` and `{1}` cannot stand in one proposal (RFC 5282): make two of them")]
    Mixed(Aead, Cbc),
    /// An integrity algorithm beside a cipher that has its own.
    #[error("`{0}` is an integrity algorithm, and `{1}` needs none; a pseudo-random function is written {2}")]
    NeedlessIntegrity(Integrity, Aead, Prf),
    /// [`NOPFS`] without a key exchange.
    #[error("`{NOPFS}` stands behind the key exchanges that are tried first; without any, leave it out too")]
    NoPfsAlone,
}

impl FromStr for IkeProposal {
    type Err = ProposalError;

    /// Words joined by `-`: `aes256gcm16-prfsha384-x25519-ecp384`, `aes256-sha256-modp2048`. Without a
    /// pseudo-random function those with the hashes of the integrity algorithms are meant.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ciphers = CipherWords::default();
        let (mut prfs, mut groups) = (vec![], vec![]);
        for word in text.split('-') {
            let fresh = ciphers.push(word).or_else(|| push(&mut prfs, word));
            let fresh = fresh.or_else(|| push(&mut groups, word));
            taken(fresh, word, &[names(&Prf::ALL), names(&Group::ALL)])?;
        }
        if prfs.is_empty() {
            prfs = ciphers.integrities.iter().map(|integrity| integrity.prf()).collect();
        }
        let ciphers = ciphers.judge()?;
        require(&prfs, "a pseudo-random function, such as prfsha384")?;
        require(&groups, "a key exchange, such as x25519")?;
        Ok(Self { ciphers, prfs, groups })
    }
}

impl FromStr for EspProposal {
    type Err = ProposalError;

    /// Words joined by `-`: `aes256gcm16-x25519-noesn`, `aes128-sha256-modp2048-nopfs`. Without `esn` or `noesn` both
    /// are offered, without a key exchange there is no perfect forward secrecy.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ciphers = CipherWords::default();
        let (mut groups, mut esn, mut pfs_may_be_declined) = (vec![], vec![], false);
        for word in text.split('-') {
            let fresh = ciphers.push(word).or_else(|| push(&mut groups, word));
            let fresh = fresh.or_else(|| push(&mut esn, word));
            let nopfs = || (word == NOPFS).then(|| !std::mem::replace(&mut pfs_may_be_declined, true));
            let fresh = fresh.or_else(nopfs);
            taken(fresh, word, &[names(&Group::ALL), NOPFS.to_owned(), names(&Esn::ALL)])?;
        }
        if groups.is_empty() && pfs_may_be_declined {
            return Err(ProposalError::NoPfsAlone);
        }
        if esn.is_empty() {
            esn = Esn::ALL.into();
        }
        Ok(Self { ciphers: ciphers.judge()?, groups, pfs_may_be_declined, esn })
    }
}

/// The words of a proposal that are about its ciphers, not judged together yet.
#[derive(Default)]
struct CipherWords {
    aeads: Vec<Aead>,
    ciphers: Vec<Cbc>,
    integrities: Vec<Integrity>,
}

impl CipherWords {
    fn push(&mut self, word: &str) -> Option<bool> {
        let fresh = push(&mut self.aeads, word).or_else(|| push(&mut self.ciphers, word));
        fresh.or_else(|| push(&mut self.integrities, word))
    }

    fn judge(self) -> Result<Ciphers, ProposalError> {
        match (self.aeads.first(), self.ciphers.first(), self.integrities.first()) {
            (Some(aead), Some(cbc), _) => Err(ProposalError::Mixed(*aead, *cbc)),
            (Some(aead), None, Some(integrity)) => {
                Err(ProposalError::NeedlessIntegrity(*integrity, *aead, integrity.prf()))
            }
            (Some(_), None, None) => Ok(Ciphers::Aead(self.aeads)),
            (None, Some(_), Some(_)) => Ok(Ciphers::Cbc(self.ciphers, self.integrities)),
            (None, Some(_), None) => {
                Err(ProposalError::Missing("an integrity algorithm with this cipher, such as sha256"))
            }
            (None, None, _) => Err(ProposalError::Missing("a cipher, such as aes256gcm16")),
        }
    }
}

/// `None` if the word is none of the list's kind; else whether it was not there yet.
fn push<T: FromStr<Err = UnknownAlgorithm> + PartialEq>(list: &mut Vec<T>, word: &str) -> Option<bool> {
    let value: T = word.parse().ok()?;
    let fresh = !list.contains(&value);
    list.push(value);
    Some(fresh)
}

fn taken(fresh: Option<bool>, word: &str, beside_ciphers: &[String]) -> Result<(), ProposalError> {
    match fresh {
        Some(true) => Ok(()),
        Some(false) => Err(ProposalError::Twice(word.to_owned())),
        None => {
            let ciphers = [names(&Aead::ALL), names(&Cbc::ALL), names(&Integrity::ALL)];
            let allowed = [&ciphers[..], beside_ciphers].concat().join(", ");
            Err(ProposalError::Unknown { word: word.to_owned(), allowed })
        }
    }
}

fn require<T>(list: &[T], what: &'static str) -> Result<(), ProposalError> {
    if list.is_empty() { Err(ProposalError::Missing(what)) } else { Ok(()) }
}

fn names<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.ciphers.words();
        words.extend(self.prfs.iter().map(|p| p.name()));
        words.extend(self.groups.iter().map(|g| g.name()));
        f.write_str(&words.join("-"))
    }
}

impl fmt::Display for EspProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.ciphers.words();
        words.extend(self.groups.iter().map(|g| g.name()));
        words.extend(self.pfs_may_be_declined.then_some(NOPFS));
        words.extend(self.esn.iter().map(|e| e.name()));
        f.write_str(&words.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ike(text: &str) -> Result<IkeProposal, ProposalError> {
        text.parse()
    }

    fn esp(text: &str) -> Result<EspProposal, ProposalError> {
        text.parse()
    }

    #[test]
    fn proposals_read_back_as_they_print() {
        for text in [
            "aes256gcm16-prfsha384-x25519",
            "aes128gcm16-aes256gcm16-prfsha256-modp2048-ecp256",
            "chacha20poly1305-aes256gcm12-aes128gcm12-aes256gcm8-aes128gcm8-prfsha512-modp4096-ecp521",
            "aes128-aes256-sha512-sha256-sha384-prfsha384-modp3072",
        ] {
            assert_eq!(ike(text).expect(text).to_string(), text);
        }
        for text in ["aes256gcm16-esn-noesn", "aes256-sha256-x25519-nopfs-noesn", "aes128gcm8-ecp384-esn"] {
            assert_eq!(esp(text).expect(text).to_string(), text);
        }
        assert_eq!(ike(&IkeProposal::default().to_string()), Ok(IkeProposal::default()));
        assert_eq!(esp(&EspProposal::default().to_string()), Ok(EspProposal::default()));
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        assert_eq!(esp("aes256gcm16").map(|p| p.to_string()), Ok("aes256gcm16-esn-noesn".to_owned()));
        let implied = "aes256-sha512-sha256-prfsha512-prfsha256-modp2048".to_owned();
        assert_eq!(ike("aes256-sha512-sha256-modp2048").map(|p| p.to_string()), Ok(implied));
        let named = "aes256-sha256-prfsha384-modp2048";
        assert_eq!(ike(named).map(|p| p.to_string()), Ok(named.to_owned()));
    }

    #[test]
    fn weak_or_unknown_words_are_refused_by_name() {
        for word in ["3des", "sha1", "modp1024", "modp1536", "aes192", "md5", "nopfs", "esn", ""] {
            let error = ike(&format!("aes256gcm16-prfsha256-{word}")).expect_err(word);
            assert!(matches!(&error, ProposalError::Unknown { word: w, .. } if w == word), "{error}");
        }
        for (theirs, ours) in OTHER_NAMES {
            let error = esp(&format!("{theirs}-noesn")).expect_err(theirs);
            assert!(error.to_string().contains(&format!("`{theirs}`, which is `{ours}` here")), "{error}");
            let error = esp(&format!("aes256gcm16-{ours}-{ours}")).expect_err(ours);
            assert!(!matches!(error, ProposalError::Unknown { .. }), "{ours} is ours");
        }
        let error = esp("aes256gcm16-prfsha256").expect_err("no prf in ESP");
        assert!(matches!(&error, ProposalError::Unknown { word, .. } if word == "prfsha256"), "{error}");
    }

    #[test]
    fn a_proposal_is_whole_and_of_one_kind() {
        for (text, error) in [
            ("prfsha256-x25519", "a proposal needs a cipher, such as aes256gcm16"),
            ("sha256-x25519", "a proposal needs a cipher, such as aes256gcm16"),
            ("aes256gcm16-x25519", "a proposal needs a pseudo-random function, such as prfsha384"),
            (
                "aes256-prfsha256-x25519",
                "a proposal needs an integrity algorithm with this cipher, such as sha256",
            ),
            ("aes256gcm16-prfsha256", "a proposal needs a key exchange, such as x25519"),
            (
                "aes256-aes128gcm16-sha256-x25519",
                "`aes128gcm16` and `aes256` cannot stand in one proposal (RFC 5282): make two of them",
            ),
            (
                "aes256gcm16-sha384-x25519",
                "`sha384` is an integrity algorithm, and `aes256gcm16` needs none; a pseudo-random function is written prfsha384",
            ),
            ("aes256-sha256-sha256-x25519", "`sha256` stands twice"),
        ] {
            assert_eq!(ike(text).expect_err(text).to_string(), error);
        }
        assert_eq!(esp("aes256gcm16-aes256gcm16"), Err(ProposalError::Twice("aes256gcm16".into())));
        assert_eq!(esp("aes256gcm16-x25519-nopfs-nopfs"), Err(ProposalError::Twice(NOPFS.into())));
        assert_eq!(esp("aes256gcm16-nopfs"), Err(ProposalError::NoPfsAlone));
    }
}
