//! Two ends that prove themselves by certificates below one root, each of which asks a responder about the other
//! (`pki/make.sh`).

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Connection, LocalAuth, RemoteAuth};
use crate::pki::{Certificate, Credential, RevocationPolicy, SigningKey, Trust};
use crate::sim::{Side, World};

/// Where the responder is, and what it says.
const ANSWERS: [(&str, &[u8]); 2] = [
    ("http://ocsp.example/a", include_bytes!("pki/a.ocsp")),
    ("http://ocsp.example/b", include_bytes!("pki/b.ocsp")),
];

/// This end signs, and believes whom the root vouches for and the responder knows.
pub(super) fn certify(connection: &mut Connection, side: Side) {
    let (certificate, key): (&[u8], &[u8]) = match side {
        Side::A => (include_bytes!("pki/a.der"), include_bytes!("pki/a.key")),
        Side::B => (include_bytes!("pki/b.der"), include_bytes!("pki/b.key")),
    };
    let key = SigningKey::from_der(key).unwrap_or_else(|_| unreachable!("a file of ours"));
    let credential = Credential::new(key, vec![known(certificate)]);
    let credential = credential.unwrap_or_else(|_| unreachable!("its key"));
    let anchors = vec![known(include_bytes!("pki/root.der"))];
    let trust = Trust { anchors, revocation: RevocationPolicy::Strict, ..Trust::default() };
    connection.local_auth = LocalAuth::Signature(Arc::new(credential));
    connection.remote_auth = RemoteAuth::Signature(Arc::new(trust));
}

fn known(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap_or_else(|_| unreachable!("a file of ours"))
}

/// Both ends reach the responder, which takes its time.
pub(super) fn publish(world: &mut World) {
    for side in [Side::A, Side::B] {
        let desk = &mut world.host(side).desk;
        desk.fetch_time = Duration::from_millis(300);
        desk.web.extend(ANSWERS.map(|(url, answer)| (url.to_owned(), answer.to_vec())));
    }
}
