//! Certificates that are too long for the line: RSA of 4,096 bits below two intermediate authorities, over a path of 1,280
//! bytes (RFC 7383).

use crate::certificates::{Parties, host};
use crate::lab::{Authority, Belief, End, Entity, KeyKind, Own, Proof, Request, Site};

#[test]
fn we_initiate_with_a_long_chain() {
    long_chain("long_chain_initiate", End::A);
}

#[test]
fn we_respond_with_a_long_chain() {
    long_chain("long_chain_respond", End::B);
}

fn long_chain(name: &'static str, end: End) {
    let site = Site::new(name);
    let kind = KeyKind::Rsa4096;
    let root = Authority::root_with("Root of long keys", kind);
    let upper = root.intermediate_with("Upper intermediate", kind);
    let lower = upper.intermediate_with("Lower intermediate", kind);
    let below = |end| Own {
        intermediates: vec![lower.certificate.clone(), upper.certificate.clone()],
        ..Own::new(&lower.issue(&Request::of(host(end), kind)))
    };
    // Made anew below; only the root is believed.
    let small = |end| Request::of(host(end), KeyKind::P256);
    let mut parties = Parties::new(&site, end, &root, &small(end), &small(end.other()));
    for (tunnel, end) in [(&mut parties.ours, end), (&mut parties.theirs, end.other())] {
        tunnel.proof = Proof::Certificate(Box::new(below(end)));
        tunnel.belief = Belief::Authorities(vec![root.certificate.clone()]);
    }
    assert!(length(&parties.ours.proof) > 4_000, "the chain alone is longer than three packets");
    site.lose_long_ike(1280);
    let (sekisho, strongswan) = parties.succeed();
    let tunnel = sekisho.tunnel();
    // What strongSwan takes for keys of this length, unless it is told otherwise.
    assert_eq!(tunnel["ike"]["peer_auth"], "RSASSA-PKCS1-v1_5 with SHA-384", "{tunnel}");
    for what in ["splitting IKE message", "received fragment #1 of"] {
        assert!(strongswan.log().contains(what), "strongSwan says `{what}`");
    }
    sekisho.rekey_ike();
    strongswan.rekey_child();
}

/// Bytes of the certificates that are sent, as PEM.
fn length(proof: &Proof) -> usize {
    let Proof::Certificate(own) = proof else { return 0 };
    let Entity { certificate, .. } = &own.entity;
    certificate.len() + own.intermediates.iter().map(String::len).sum::<usize>()
}
