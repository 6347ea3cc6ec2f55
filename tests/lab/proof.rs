//! How an end of a tunnel proves itself and what it believes of the other, and the files that say so to each daemon.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use super::pki::{Authority, Entity};
use super::process::run;
use super::tunnel::Tunnel;

/// How this end proves itself.
#[derive(Clone, Debug)]
pub enum Proof {
    /// By the tunnel's pre-shared key.
    Psk,
    Certificate(Box<Own>),
    /// By a key without a certificate.
    RawKey(Box<Entity>),
}

/// A certificate of this end.
#[derive(Clone, Debug)]
pub struct Own {
    pub entity: Entity,
    /// Certificates to send along, PEM.
    pub intermediates: Vec<String>,
    /// In one encrypted PKCS#12 file (sekishod only).
    pub bundled: bool,
    /// RSA with the older padding (sekishod only).
    pub pkcs1: bool,
}

/// What this end believes of the other.
#[derive(Clone, Debug)]
pub enum Belief {
    /// The tunnel's pre-shared key.
    Psk,
    /// What one of these authorities certifies, PEM.
    Authorities(Vec<String>),
    /// Exactly this certificate, PEM.
    Certificate(String),
    /// Exactly this public key, PEM.
    Key(String),
}

impl Proof {
    /// A certificate without any intermediate one.
    pub fn by(entity: &Entity) -> Self {
        Self::Certificate(Box::new(Own::new(entity)))
    }
}

impl Own {
    /// A certificate without any intermediate one.
    pub fn new(entity: &Entity) -> Self {
        Self { entity: entity.clone(), intermediates: Vec::new(), bundled: false, pkcs1: false }
    }

    /// The same, sent with another one.
    pub fn below(self, intermediate: &Authority) -> Proof {
        Proof::Certificate(Box::new(Self { intermediates: vec![intermediate.certificate.clone()], ..self }))
    }
}

const PASSPHRASE: &str = "correct horse battery staple";

/// The settings of `[tunnel.NAME]` in sekishod's configuration, their files written beside it.
pub(super) fn of_sekisho(directory: &Path, tunnel: &Tunnel) -> String {
    let mut lines = prove(directory, &tunnel.proof);
    lines.extend(believe(directory, tunnel));
    let shared = (matches!(tunnel.proof, Proof::Psk), matches!(tunnel.belief, Belief::Psk));
    lines.extend(match shared {
        (true, true) | (false, false) => None,
        (true, false) => Some("local_auth = \"psk\"".to_owned()),
        (false, true) => Some("remote_auth = \"psk\"".to_owned()),
    });
    if shared != (false, false) {
        write(directory, "centre.psk", tunnel.psk);
        lines.push("psk_file = \"centre.psk\"".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn prove(directory: &Path, proof: &Proof) -> Vec<String> {
    match proof {
        Proof::Psk => Vec::new(),
        Proof::Certificate(own) if own.bundled => {
            bundle(directory, own);
            vec!["pkcs12 = \"own.p12\"".to_owned(), "passphrase_file = \"own.passphrase\"".to_owned()]
        }
        Proof::Certificate(own) => {
            write(directory, "own.pem", &chain(own));
            write(directory, "own.key", &own.entity.key);
            let padding = own.pkcs1.then(|| "rsa_padding = \"pkcs1\"".to_owned());
            let files = ["certificate = \"own.pem\"".to_owned(), "private_key = \"own.key\"".to_owned()];
            files.into_iter().chain(padding).collect()
        }
        Proof::RawKey(entity) => {
            write(directory, "own.key", &entity.key);
            vec!["private_key = \"own.key\"".to_owned()]
        }
    }
}

fn believe(directory: &Path, tunnel: &Tunnel) -> Vec<String> {
    let (key, name, pem) = match &tunnel.belief {
        Belief::Psk => return Vec::new(),
        Belief::Certificate(pem) => ("peer_certificates", "peer.pem", pem.clone()),
        Belief::Key(pem) => ("peer_keys", "peer.pub", pem.clone()),
        Belief::Authorities(authorities) => ("authorities", "authorities.pem", authorities.concat()),
    };
    write(directory, name, &pem);
    let mut lines = vec![format!("{key} = [\"{name}\"]"), format!("revocation = \"{}\"", tunnel.revocation)];
    let crls: Vec<String> = (0..tunnel.crls.len()).map(|index| format!("{index}.crl")).collect();
    for (name, crl) in crls.iter().zip(&tunnel.crls) {
        fs::write(directory.join(name), crl).expect("write a revocation list");
    }
    if !crls.is_empty() {
        lines.push(format!("crl_files = {crls:?}"));
    }
    lines
}

/// The local and the remote section of strongSwan's connection, their files written into its directory.
pub(super) fn of_strongswan(directory: &Path, tunnel: &Tunnel) -> [String; 2] {
    for kind in ["x509", "x509ca", "x509crl", "private", "pubkey"] {
        fs::create_dir_all(directory.join(kind)).expect("make a directory for swanctl");
    }
    let method = tunnel.auth_methods[0].unwrap_or("pubkey");
    let local = match &tunnel.proof {
        Proof::Psk => "auth = psk".to_owned(),
        Proof::Certificate(own) => {
            write(directory, "x509/own.pem", &own.entity.certificate);
            write(directory, "private/own.key", &own.entity.key);
            for (index, pem) in own.intermediates.iter().enumerate() {
                write(directory, &format!("x509ca/own-{index}.pem"), pem);
            }
            format!("auth = {method}\n      certs = own.pem")
        }
        Proof::RawKey(entity) => {
            write(directory, "pubkey/own.pub", &entity.public_key);
            write(directory, "private/own.key", &entity.key);
            format!("auth = {method}\n      pubkeys = own.pub")
        }
    };
    let method = tunnel.auth_methods[1].unwrap_or("pubkey");
    let policy = match tunnel.revocation {
        "strict" => "strict",
        _ => "relaxed",
    };
    let remote = match &tunnel.belief {
        Belief::Psk => "auth = psk".to_owned(),
        Belief::Authorities(authorities) => {
            for (index, pem) in authorities.iter().enumerate() {
                write(directory, &format!("x509ca/authority-{index}.pem"), pem);
            }
            format!("auth = {method}\n      revocation = {policy}")
        }
        Belief::Certificate(pem) => {
            write(directory, "x509/peer.pem", pem);
            format!("auth = {method}\n      certs = peer.pem")
        }
        Belief::Key(pem) => {
            write(directory, "pubkey/peer.pub", pem);
            format!("auth = {method}\n      pubkeys = peer.pub")
        }
    };
    for (index, crl) in tunnel.crls.iter().enumerate() {
        fs::write(directory.join(format!("x509crl/{index}.crl")), crl).expect("write a revocation list");
    }
    [local, remote]
}

fn chain(own: &Own) -> String {
    [std::slice::from_ref(&own.entity.certificate), &own.intermediates].concat().concat()
}

fn bundle(directory: &Path, own: &Own) {
    write(directory, "own.passphrase", PASSPHRASE);
    write(directory, "bundled.pem", &(own.entity.key.clone() + &chain(own)));
    let mut command = Command::new("openssl");
    command.args(["pkcs12", "-export", "-passout", &format!("pass:{PASSPHRASE}")]);
    command.arg("-in").arg(directory.join("bundled.pem"));
    command.arg("-out").arg(directory.join("own.p12"));
    run(&mut command);
}

/// Writes a file that nobody else may read.
fn write(directory: &Path, name: &str, text: &str) {
    let mut options = fs::File::options();
    let path = directory.join(name);
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("write a file of a daemon");
}
