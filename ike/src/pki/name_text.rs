//! Distinguished names as text (RFC 4514, but the most significant attribute first, as strongSwan and OpenSSL have it).

use std::fmt;
use std::str::FromStr;

use der::asn1::{Any, ObjectIdentifier, SetOfVec};
use der::{Decode, Encode, Tag};
use x509_cert::attr::AttributeTypeAndValue;

use super::name::{self, DistinguishedName, NameError};
use crate::limits;

/// Short names; the first one of an OID is the one that is printed.
const TYPES: &[(&str, &str)] = &[
    ("C", "2.5.4.6"),
    ("ST", "2.5.4.8"),
    ("S", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("CN", "2.5.4.3"),
    ("STREET", "2.5.4.9"),
    ("SN", "2.5.4.4"),
    ("GN", "2.5.4.42"),
    ("G", "2.5.4.42"),
    ("T", "2.5.4.12"),
    ("serialNumber", "2.5.4.5"),
    ("dnQualifier", "2.5.4.46"),
    ("organizationIdentifier", "2.5.4.97"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("E", EMAIL),
    ("EMAIL", EMAIL),
    ("emailAddress", EMAIL),
];

const EMAIL: &str = "1.2.840.113549.1.9.1";

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("(empty name)");
        }
        for (i, rdn) in self.rdns().iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            for (j, attribute) in rdn.iter().enumerate() {
                f.write_str(if j == 0 { "" } else { "+" })?;
                write_attribute(attribute, f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_attribute(attribute: &AttributeTypeAndValue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let oid = attribute.oid.to_string();
    let short = TYPES.iter().find(|(_, known)| *known == oid).map(|(short, _)| *short);
    write!(f, "{}=", short.unwrap_or(&oid))?;
    if let Some(text) = name::text(&attribute.value).filter(|text| !text.is_empty()) {
        return write_escaped(&text, f);
    }
    f.write_str("#")?;
    attribute.value.to_der().unwrap_or_default().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
            '#' if at == 0 => f.write_str("\\#")?,
            ' ' if at == 0 || at == last => f.write_str("\\ ")?,
            unseen if is_unseen(unseen) => {
                let mut bytes = [0; 4];
                unseen.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(f, "\\{byte:02x}"))?;
            }
            seen => write!(f, "{seen}")?,
        }
    }
    Ok(())
}

/// What would change a terminal or a line of text around it: control characters, and those that change the direction of
/// writing or have no width.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || (character.is_whitespace() && character != ' ')
}

impl FromStr for DistinguishedName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > limits::DISTINGUISHED_NAME {
            return Err(NameError::TooLong);
        }
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        let rdns: Vec<SetOfVec<AttributeTypeAndValue>> =
            split(text, ',').into_iter().map(parse_rdn).collect::<Result<_, _>>()?;
        Self::from_der(&rdns.to_der().map_err(|_| NameError::Malformed)?)
    }
}

fn parse_rdn(text: &str) -> Result<SetOfVec<AttributeTypeAndValue>, NameError> {
    let attributes: Vec<AttributeTypeAndValue> =
        split(text, '+').into_iter().map(parse_attribute).collect::<Result<_, _>>()?;
    SetOfVec::try_from(attributes).map_err(|_| NameError::Malformed)
}

/// Splits where the separator is neither escaped nor between quotation marks.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut escaped, mut quoted) = (false, false);
    text.split(|character| {
        let cut = !escaped && !quoted && character == separator;
        quoted ^= !escaped && character == '"';
        escaped = !escaped && character == '\\';
        cut
    })
    .collect()
}

fn parse_attribute(text: &str) -> Result<AttributeTypeAndValue, NameError> {
    let no_attribute = || NameError::NoAttribute(text.trim().to_owned());
    let (kind, value) = text.split_once('=').ok_or_else(no_attribute)?;
    if kind.trim().is_empty() || value.trim().is_empty() {
        return Err(no_attribute());
    }
    let oid = parse_type(kind.trim())?;
    Ok(AttributeTypeAndValue { oid, value: parse_value(oid, value.trim_start())? })
}

fn parse_type(text: &str) -> Result<ObjectIdentifier, NameError> {
    let known = TYPES.iter().find(|(short, _)| short.eq_ignore_ascii_case(text)).map(|(_, oid)| *oid);
    let dotted = known.unwrap_or_else(|| text.strip_prefix("OID.").unwrap_or(text));
    ObjectIdentifier::new(dotted).map_err(|_| NameError::UnknownType(text.to_owned()))
}

fn parse_value(oid: ObjectIdentifier, text: &str) -> Result<Any, NameError> {
    let bad = || NameError::BadValue(text.trim().to_owned());
    if let Some(hex) = text.trim_end().strip_prefix('#') {
        let der = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| bad())?;
        return Any::from_der(&der).map_err(|_| bad());
    }
    let value = unescape(text).ok_or_else(bad)?;
    let tag = string_type(oid, &value).ok_or_else(bad)?;
    Any::new(tag, value.into_bytes()).map_err(|_| bad())
}

/// Takes quotation marks and escapes (`\,` and `\2c`) away, and white space at the end that is not escaped.
fn unescape(text: &str) -> Option<String> {
    let mut out: Vec<u8> = Vec::new();
    let (mut rest, mut quoted, mut kept) = (text.as_bytes(), false, 0);
    loop {
        match rest {
            [] => break,
            [b'\\', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let value = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
                out.push((value(*high)? << 4) | value(*low)?);
                (rest, kept) = (tail, out.len());
            }
            [b'\\', escaped, tail @ ..] if !escaped.is_ascii_alphanumeric() && escaped.is_ascii() => {
                out.push(*escaped);
                (rest, kept) = (tail, out.len());
            }
            [b'\\', ..] => return None,
            [b'"', tail @ ..] => (rest, quoted) = (tail, !quoted),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
                if quoted || !byte.is_ascii_whitespace() {
                    kept = out.len();
                }
            }
        }
    }
    out.truncate(kept);
    String::from_utf8(out).ok().filter(|text| !quoted && !text.is_empty())
}

/// RFC 5280 Appendix A: the string type that the attribute type prescribes, else the plainest that holds the text.
fn string_type(oid: ObjectIdentifier, text: &str) -> Option<Tag> {
    let printable = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b));
    let only = |fits: bool, tag| fits.then_some(tag);
    match oid.to_string().as_str() {
        "2.5.4.6" => {
            only(text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()), Tag::PrintableString)
        }
        "2.5.4.5" | "2.5.4.46" => only(printable, Tag::PrintableString),
        "0.9.2342.19200300.100.1.25" | EMAIL => only(text.is_ascii(), Tag::Ia5String),
        _ if printable => Some(Tag::PrintableString),
        _ => Some(Tag::Utf8String),
    }
}
