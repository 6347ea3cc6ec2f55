//! Distinguished names: text, DER, and when two are the same.

use der::Encode;
use der::asn1::{Any, ObjectIdentifier, SetOfVec};
use proptest::prelude::*;
use sekisho_ike::identity::Identity;
use sekisho_ike::pki::{DistinguishedName, NameError};
use x509_cert::attr::AttributeTypeAndValue;

use crate::fixtures;

fn name(text: &str) -> DistinguishedName {
    text.parse().expect(text)
}

/// A name of one attribute, the CN, with a value of any type.
fn encoded(tag: der::Tag, value: &[u8]) -> DistinguishedName {
    let oid = ObjectIdentifier::new_unwrap("2.5.4.3");
    let attribute = AttributeTypeAndValue { oid, value: Any::new(tag, value).unwrap() };
    let rdn = SetOfVec::try_from(vec![attribute]).unwrap();
    DistinguishedName::from_der(&vec![rdn].to_der().unwrap()).unwrap()
}

#[test]
fn they_print_most_significant_first_and_read_back() {
    for text in [
        "C=JP, O=Clinic, CN=clinic-17",
        "DC=example, DC=clinic, UID=17",
        "CN=Smith\\, John+OU=Ward \\+ Lab",
        "O=診療所, CN=\\#1",
        "CN=\\ a b\\ ",
        "E=support@clinic.example, CN=x",
        "2.5.4.20=\\+81 3 1234",
        "CN=line\\0abreak",
    ] {
        let parsed = name(text);
        let printed = parsed.to_string();
        assert_eq!(name(&printed), parsed, "{text} -> {printed}");
        assert_eq!(DistinguishedName::from_der(parsed.der()).unwrap(), parsed);
    }
    assert_eq!(name("cn=b,  o=a").to_string(), "CN=b, O=a");
    assert_eq!(name(r#"O="Clinic, Inc.", CN=x"#).to_string(), "O=Clinic\\, Inc., CN=x");
    assert_eq!(name("CN=a\\2cb").to_string(), "CN=a\\,b");
    assert_eq!(name("ST=Tokyo, OID.2.5.4.3=x").to_string(), "ST=Tokyo, CN=x");
}

#[test]
fn what_would_fool_a_reader_is_escaped() {
    let fooling = encoded(der::Tag::Utf8String, "evil\u{202e}gnp.\u{1b}[2J\n".as_bytes());
    assert_eq!(fooling.to_string(), "CN=evil\\e2\\80\\aegnp.\\1b[2J\\0a");
    assert_eq!(name(&fooling.to_string()).to_string(), fooling.to_string());
}

#[test]
fn openssl_and_we_write_the_same_name() {
    assert_eq!(fixtures::certificate("leaf").subject().to_string(), "C=JP, O=Clinic, CN=clinic-17");
    assert_eq!(fixtures::certificate("leaf").subject(), &name("C=JP, O=Clinic, CN=clinic-17"));
}

#[test]
fn case_spaces_and_string_type_make_no_difference() {
    use der::Tag::{BmpString, Ia5String, PrintableString, TeletexString, Utf8String};
    let one = encoded(PrintableString, b"Clinic 17");
    assert_eq!(one, encoded(Utf8String, b"  clinic \t 17 "));
    assert_eq!(one, encoded(Ia5String, b"CLINIC 17"));
    assert_eq!(one, encoded(BmpString, b"\0C\0l\0i\0n\0i\0c\0 \x001\x007"));
    assert_eq!(encoded(TeletexString, b"caf\xe9"), encoded(Utf8String, "CAFÉ".as_bytes()));
    assert_ne!(one, encoded(Utf8String, b"Clinic17"));
    // Not text: compared as it stands there.
    assert_ne!(encoded(der::Tag::OctetString, b"a"), encoded(der::Tag::OctetString, b"A"));
    assert_ne!(encoded(der::Tag::OctetString, b"a"), encoded(Utf8String, b"a"));
}

#[test]
fn order_and_grouping_make_a_difference() {
    assert_ne!(name("O=a, CN=b"), name("CN=b, O=a"));
    assert_ne!(name("O=a, CN=b"), name("O=a+CN=b"));
    assert_eq!(name("O=a+CN=b"), name("CN=b+O=a"));
    assert_ne!(name("O=a, CN=b"), name("O=a"));
    assert_ne!(name("CN=a"), name("O=a"));
}

#[test]
fn what_is_no_name_is_refused() {
    let error = |text: &str| text.parse::<DistinguishedName>().expect_err(text);
    assert_eq!(error(" "), NameError::Empty);
    assert_eq!(error("clinic"), NameError::NoAttribute("clinic".into()));
    assert_eq!(error("CN="), NameError::NoAttribute("CN=".into()));
    assert_eq!(error("O=a, , CN=b"), NameError::NoAttribute(String::new()));
    assert_eq!(error("COUNTRY=JP"), NameError::UnknownType("COUNTRY".into()));
    assert_eq!(error("C=Japan"), NameError::BadValue("Japan".into()));
    assert_eq!(error("CN=a\\zz"), NameError::BadValue("a\\zz".into()));
    assert_eq!(error("CN=\"open"), NameError::BadValue("\"open".into()));
    assert_eq!(error("CN=#05"), NameError::BadValue("#05".into()));
    assert_eq!(error(&format!("CN={}", "a".repeat(3000))), NameError::TooLong);
    for der in [&[][..], &[0x30], &[0x30, 2, 0x31, 0], &[0x30, 0, 0], &[5, 0]] {
        assert_eq!(DistinguishedName::from_der(der), Err(NameError::Malformed), "{der:?}");
    }
    assert!(DistinguishedName::from_der(&[0x30, 0]).unwrap().is_empty());
}

#[test]
fn a_text_with_an_equals_sign_is_a_distinguished_name() {
    let dn = Identity::Dn(name("C=JP, CN=a@b.example"));
    assert_eq!("C=JP, CN=a@b.example".parse(), Ok(dn.clone()));
    assert_eq!("dn:C=JP, CN=a@b.example".parse(), Ok(dn.clone()));
    assert_eq!(dn.to_string().parse(), Ok(dn.clone()));
    assert_eq!(dn.kind(), "distinguished name");
    assert!(matches!("keyid:a=b".parse(), Ok(Identity::KeyId(id)) if id == b"a=b"));
    assert!("dn:".parse::<Identity>().is_err());
    assert!("CN".parse::<Identity>().is_ok(), "a host's name");
    assert!("C=Japan".parse::<Identity>().unwrap_err().to_string().contains("`Japan`"));
}

proptest! {
    #[test]
    fn any_value_survives_being_printed(value in "\\PC{1,20}|[ -~]{1,20}|.{1,8}") {
        let original = encoded(der::Tag::Utf8String, value.as_bytes());
        let printed = original.to_string();
        let read: DistinguishedName = printed.parse().map_err(|e| TestCaseError::fail(format!("{printed}: {e}")))?;
        prop_assert_eq!(read.to_string(), printed);
        prop_assert_eq!(read, original);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[CNO=,+\\\\\"# a0]{0,30}|.{0,30}") {
        if let Ok(name) = text.parse::<DistinguishedName>() {
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }
    }
}

/// 2.5.3 with a padded arc prints as 2.5.3 and is another: a name that does not read back (X.690 §8.19.2).
#[test]
fn a_type_that_is_not_der_makes_no_name() {
    let der = |arc: &[u8]| {
        let attribute = [&[6, 1 + u8::try_from(arc.len()).unwrap(), 0x55], arc, &[12, 1, b'x']].concat();
        let length = u8::try_from(attribute.len()).unwrap();
        [&[0x30, length + 4, 0x31, length + 2, 0x30, length][..], &attribute].concat()
    };
    for good in [&[3][..], &[0x81, 3], &[4, 3], &[0x81, 0x80, 3]] {
        let name = DistinguishedName::from_der(&der(good)).expect("a name");
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    for padded in [&[0x80, 3][..], &[0x80, 0x80, 3], &[4, 0x80, 3]] {
        assert_eq!(DistinguishedName::from_der(&der(padded)), Err(NameError::Malformed), "{padded:?}");
    }
}
