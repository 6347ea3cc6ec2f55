//! What both ends of a tunnel must be told, from which each peer's own configuration is written.

use std::net::IpAddr;

use super::proof::{Belief, Proof};
use super::site::{End, Site};

/// The family of the outer packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

/// Addresses that an end gives out.
#[derive(Clone, Debug)]
pub struct Gives {
    pub addresses: Vec<&'static str>,
    pub dns: Vec<&'static str>,
}

/// One end's view of a tunnel. Scenarios change a field to make the two ends disagree.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// The address that the daemon uses outside.
    pub local: IpAddr,
    /// Where the peer is; `None`: anywhere, we only answer.
    pub remote: Option<IpAddr>,
    pub local_id: &'static str,
    pub remote_id: &'static str,
    pub psk: &'static str,
    /// How this end proves itself: by `psk` unless a scenario says otherwise.
    pub proof: Proof,
    /// What it believes of the peer.
    pub belief: Belief,
    /// `strict`, `soft` or `off`.
    pub revocation: &'static str,
    /// Revocation lists from files, DER.
    pub crls: Vec<Vec<u8>>,
    /// strongSwan's words for how it proves itself and what it demands of the peer, such as `rsa/pss-sha256`.
    pub auth_methods: [Option<&'static str>; 2],
    /// Whether strongSwan knows no signatures but those of RFC 7296 itself (without RFC 7427).
    pub old_signatures: bool,
    pub local_networks: Vec<String>,
    pub remote_networks: Vec<String>,
    /// Its Child SAs, if they are several: then the networks above are of none.
    pub parts: Vec<Part>,
    /// This end asks for an address of each of these families, in the place of its networks.
    pub asks: Vec<Outer>,
    /// This end gives the peer an address, in the place of the peer's networks.
    pub gives: Option<Gives>,
    /// What stands in sekishod's configuration behind this tunnel.
    pub more: String,
    /// Whether this end starts the tunnel and keeps it up.
    pub initiate: bool,
    /// Further lines of sekishod's `[tunnel.NAME]`.
    pub settings: &'static str,
    /// Further lines of strongSwan's connection.
    pub options: &'static str,
    pub ike_proposal: &'static str,
    pub esp_proposal: &'static str,
    /// Seconds without a sign of the peer after which it is probed.
    pub liveness_s: u32,
    /// Seconds between rekeys of the IKE SA.
    pub ike_lifetime_s: u32,
    /// Seconds between rekeys of the Child SA.
    pub child_lifetime_s: u32,
    /// Bytes of the IP packets of IKE messages, beyond which they are cut into fragments.
    pub fragment_size: u16,
    /// Half-open SAs from which on this end asks everyone for a cookie; `None`: as it comes.
    pub cookie_threshold: Option<u32>,
    /// Whether sekishod exchanges packets with the kernel many at a time.
    pub offloads: bool,
}

/// One of several Child SAs.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: &'static str,
    pub local_networks: Vec<String>,
    pub remote_networks: Vec<String>,
    /// Further lines of sekishod's `[[tunnel.NAME.child]]`.
    pub settings: &'static str,
}

impl Part {
    /// The same Child SA as the other end sees it.
    pub fn turned(&self) -> Self {
        let (local_networks, remote_networks) = (self.remote_networks.clone(), self.local_networks.clone());
        Self { local_networks, remote_networks, settings: "", ..*self }
    }
}

impl Tunnel {
    /// The name of the connection and of its Child SA at both ends.
    pub const NAME: &'static str = "centre";

    /// This end asks for an address of each of these families.
    pub fn asking(mut self, families: &[Outer]) -> Self {
        self.local_networks.clear();
        self.asks = families.to_vec();
        self
    }

    /// This end gives addresses of these ranges, and a name server.
    pub fn giving(mut self, addresses: &[&'static str], dns: &[&'static str]) -> Self {
        self.remote_networks.clear();
        self.gives = Some(Gives { addresses: addresses.to_vec(), dns: dns.to_vec() });
        self
    }

    /// How `end` of `site` sees the tunnel: both know the other's address, neither starts by itself.
    pub fn at(site: &Site, end: End, outer: Outer) -> Self {
        let (here, there) = (site.side(end), site.side(end.other()));
        let (local_id, remote_id) = match end {
            End::A => ("clinic-17.example", "hub.example"),
            End::B => ("hub.example", "clinic-17.example"),
        };
        Self {
            local: here.outside[outer as usize],
            remote: Some(there.outside[outer as usize]),
            local_id,
            remote_id,
            psk: "0sq5iY2F0tKc9wJ4b0GkXo1u8nQm3ZrVtLh7eDsAyPfWE=",
            proof: Proof::Psk,
            belief: Belief::Psk,
            revocation: "soft",
            crls: Vec::new(),
            auth_methods: [None; 2],
            old_signatures: false,
            local_networks: here.networks.map(str::to_owned).to_vec(),
            remote_networks: there.networks.map(str::to_owned).to_vec(),
            parts: Vec::new(),
            asks: Vec::new(),
            gives: None,
            more: String::new(),
            initiate: false,
            settings: "",
            options: "",
            ike_proposal: "aes256gcm16-prfsha384-x25519",
            esp_proposal: "aes256gcm16-x25519-noesn",
            liveness_s: 10,
            ike_lifetime_s: 28_800,
            child_lifetime_s: 3_600,
            fragment_size: 1_280,
            cookie_threshold: None,
            offloads: offloads(),
        }
    }
}

/// `SEKISHO_LAB_OFFLOADS=off` runs every scenario without offloads; otherwise those that say so do.
pub fn offloads() -> bool {
    match std::env::var("SEKISHO_LAB_OFFLOADS").as_deref() {
        Err(_) | Ok("auto") => true,
        Ok("off") => false,
        Ok(other) => panic!("SEKISHO_LAB_OFFLOADS is `{other}`: auto or off"),
    }
}
