//! Named lists of proposals, so that an engineer names a purpose instead of algorithms.

use std::fmt;
use std::str::FromStr;

use super::algorithm::{Aead, Cbc, Esn, Group, Integrity, Prf};
use super::proposal::{Ciphers, EspProposal, IkeProposal};

/// What a tunnel's proposals are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// Everything that is good today, the best first.
    #[default]
    Default,
    /// That first, and then what older routers and firewalls have: CBC with HMAC, and all groups.
    Compatible,
    /// The strongest of the NIST algorithms only: AES-256-GCM, P-384, SHA-384 (NSA's CNSA 1.0, RFC 9206).
    Cnsa,
}

impl Profile {
    /// All.
    pub const ALL: [Self; 3] = [Self::Default, Self::Compatible, Self::Cnsa];

    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Compatible => "compatible",
            Self::Cnsa => "cnsa",
        }
    }

    /// For the IKE SA, preferred first.
    pub fn ike_proposals(self) -> Vec<IkeProposal> {
        match self {
            Self::Default => vec![IkeProposal::default()],
            Self::Compatible => vec![
                IkeProposal::default(),
                IkeProposal { ciphers: cbc(), prfs: Prf::ALL.into(), groups: Group::ALL.into() },
            ],
            Self::Cnsa => vec![IkeProposal {
                ciphers: Ciphers::Aead(vec![Aead::Aes256Gcm16]),
                prfs: vec![Prf::HmacSha384],
                groups: vec![Group::P384],
            }],
        }
    }

    /// For Child SAs, preferred first. None gives perfect forward secrecy up.
    pub fn esp_proposals(self) -> Vec<EspProposal> {
        match self {
            Self::Default => vec![EspProposal::default()],
            Self::Compatible => vec![
                EspProposal::default(),
                EspProposal { ciphers: cbc(), groups: Group::ALL.into(), ..EspProposal::default() },
            ],
            Self::Cnsa => vec![EspProposal {
                ciphers: Ciphers::Aead(vec![Aead::Aes256Gcm16]),
                groups: vec![Group::P384],
                pfs_may_be_declined: false,
                esn: Esn::ALL.into(),
            }],
        }
    }
}

fn cbc() -> Ciphers {
    Ciphers::Cbc(Cbc::ALL.into(), Integrity::ALL.into())
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

/// A word that names no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile `{0}`; there are {list}", list = Profile::ALL.map(Profile::name).join(", "))]
pub struct UnknownProfile(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn show(profile: Profile) -> (Vec<String>, Vec<String>) {
        let ike = profile.ike_proposals().iter().map(IkeProposal::to_string).collect();
        (ike, profile.esp_proposals().iter().map(EspProposal::to_string).collect())
    }

    #[test]
    fn profiles_are_what_their_names_promise() {
        let modern = "aes256gcm16-aes128gcm16-chacha20poly1305";
        let groups = "x25519-ecp256-ecp384-modp3072-modp2048";
        let ike = format!("{modern}-prfsha384-prfsha256-prfsha512-{groups}");
        let esp = format!("{modern}-{groups}-esn-noesn");
        assert_eq!(show(Profile::Default), (vec![ike.clone()], vec![esp.clone()]));

        let older = "aes256-aes128-sha256-sha384-sha512";
        let groups = "x25519-ecp256-ecp384-ecp521-modp3072-modp4096-modp2048";
        let older_ike = format!("{older}-prfsha384-prfsha256-prfsha512-{groups}");
        let older_esp = format!("{older}-{groups}-esn-noesn");
        assert_eq!(show(Profile::Compatible), (vec![ike, older_ike], vec![esp, older_esp]));

        let ike = "aes256gcm16-prfsha384-ecp384".to_owned();
        assert_eq!(show(Profile::Cnsa), (vec![ike], vec!["aes256gcm16-ecp384-esn-noesn".to_owned()]));
    }

    #[test]
    fn a_profile_is_named_and_an_unknown_one_refused_with_the_names() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        let error = "modern".parse::<Profile>().expect_err("no profile");
        assert_eq!(error.to_string(), "unknown profile `modern`; there are default, compatible, cnsa");
    }
}
