//! Messages to `nf_tables`, as far as the guard needs them (`linux/netlink.h`, `linux/netfilter/nfnetlink.h`,
//! `linux/netfilter/nf_tables.h`).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

/// `struct nlmsghdr`, and `struct nfgenmsg` behind it.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// Everything begins at a multiple of this.
const ALIGN: usize = 4;
const FLAG_NESTED: u16 = 0x8000;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
/// Both address families.
const INET: u8 = 1;

const ACCEPT: u32 = 1;

const REQUEST: u16 = 0x001;
const ACKNOWLEDGE: u16 = 0x004;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// Where packets pass: chains at one hook of the kernel see them in the order of their priorities, the lowest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: u32,
    pub(super) priority: i32,
}

/// Changes that take effect together.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    last: u32,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { bytes: message(BATCH_BEGIN, REQUEST, 0, (0, SUBSYSTEM), &[]), last: 0 }
    }

    pub(super) fn add_table(&mut self, table: &str) {
        self.push(NEW_TABLE, CREATE, &text(1, table));
    }

    pub(super) fn delete_table(&mut self, table: &str) {
        self.push(DELETE_TABLE, 0, &text(1, table));
    }

    /// A chain that filters at its hook and has what nothing is said of pass.
    pub(super) fn add_chain(&mut self, table: &str, chain: &Chain) {
        let hook = [number(1, chain.hook), number(2, chain.priority.cast_unsigned())].concat();
        let parts =
            [text(1, table), text(3, chain.name), nest(4, &hook), number(5, ACCEPT), text(7, "filter")];
        self.push(NEW_CHAIN, CREATE, &parts.concat());
    }

    /// A rule behind the others of its chain.
    pub(super) fn add_rule(&mut self, table: &str, chain: &Chain, expressions: &[Vec<u8>]) {
        let parts = [text(1, table), text(2, chain.name), nest(4, &expressions.concat())];
        self.push(NEW_RULE, CREATE | APPEND, &parts.concat());
    }

    /// All of it, for one send.
    pub(super) fn bytes(&self) -> Vec<u8> {
        [&self.bytes[..], &message(BATCH_END, REQUEST, self.last + 1, (0, SUBSYSTEM), &[])].concat()
    }

    /// The number of the last change.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    fn push(&mut self, kind: u16, flags: u16, attributes: &[u8]) {
        self.last += 1;
        let flags = REQUEST | ACKNOWLEDGE | flags;
        self.bytes.extend(message(SUBSYSTEM << 8 | kind, flags, self.last, (INET, 0), attributes));
    }
}

/// A request for all tables, and its number.
pub(super) fn list_tables() -> (Vec<u8>, u32) {
    (message(SUBSYSTEM << 8 | GET_TABLE, REQUEST | DUMP, 1, (INET, 0), &[]), 1)
}

/// A request for the rules of a table, and its number.
pub(super) fn list_rules(table: &str) -> (Vec<u8>, u32) {
    (message(SUBSYSTEM << 8 | GET_RULE, REQUEST | DUMP, 1, (INET, 0), &text(1, table)), 1)
}

/// What the kernel says to messages up to one of this number.
#[derive(Debug)]
pub(super) struct Answers {
    last: u32,
    complete: bool,
    pub(super) tables: Vec<String>,
    pub(super) rules: usize,
    /// What all rules of a chain counted.
    pub(super) packets: BTreeMap<String, u64>,
}

impl Answers {
    pub(super) fn to(last: u32) -> Self {
        Self { last, complete: false, tables: Vec::new(), rules: 0, packets: BTreeMap::new() }
    }

    pub(super) fn are_complete(&self) -> bool {
        self.complete
    }

    /// Reads what came in one piece.
    ///
    /// # Errors
    /// What the kernel says against any of the messages.
    pub(super) fn read(&mut self, mut rest: &[u8]) -> io::Result<()> {
        const ERROR: u16 = 2;
        const DONE: u16 = 3;
        while let Some((header, _)) = rest.split_first_chunk::<HEADER>() {
            let &[l0, l1, l2, l3, k0, k1, _, _, n0, n1, n2, n3, ..] = header;
            let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(0);
            let body = rest.get(HEADER..length).ok_or(ErrorKind::InvalidData)?;
            let is_last = u32::from_ne_bytes([n0, n1, n2, n3]) == self.last;
            match u16::from_ne_bytes([k0, k1]) {
                ERROR => {
                    let code = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                    }
                    self.complete |= is_last;
                }
                DONE => self.complete |= is_last,
                kind if kind == SUBSYSTEM << 8 | NEW_TABLE => self.tables.extend(name(body, 1)),
                kind if kind == SUBSYSTEM << 8 | NEW_RULE => {
                    self.rules += 1;
                    let packets = self.packets.entry(name(body, 2).unwrap_or_default()).or_default();
                    *packets = packets.saturating_add(counted(body));
                }
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The text of an attribute of this kind.
fn name(body: &[u8], kind: u16) -> Option<String> {
    let name = find(body.get(FAMILY_HEADER..)?, kind)?.split(|byte| *byte == 0).next()?;
    String::from_utf8(name.to_vec()).ok()
}

/// What the counters of a rule say.
fn counted(body: &[u8]) -> u64 {
    let expressions = find(body.get(FAMILY_HEADER..).unwrap_or_default(), 4).unwrap_or_default();
    let counter =
        |(_, expression)| find(expression, 1).filter(|name| *name == b"counter\0").and(find(expression, 2));
    let packets =
        |data| find(data, 2).and_then(|number| number.first_chunk().copied()).map_or(0, u64::from_be_bytes);
    attributes(expressions).filter_map(counter).map(packets).sum()
}

/// The value of the first attribute of this kind.
fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// Kinds and values, as far as they make sense.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let &[l0, l1, k0, k1] = rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & !FLAG_NESTED, value))
    })
}

fn message(kind: u16, flags: u16, number: u32, (family, resource): (u8, u16), attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + FAMILY_HEADER + attributes.len()).unwrap_or(u32::MAX);
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(number.to_ne_bytes());
    message.extend([0; 4]);
    message.extend([family, 0]);
    message.extend(resource.to_be_bytes());
    message.extend(attributes);
    message
}

pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut attribute = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(ALIGN), 0);
    attribute
}

pub(super) fn nest(kind: u16, attributes: &[u8]) -> Vec<u8> {
    attribute(kind | FLAG_NESTED, attributes)
}

pub(super) fn number(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

pub(super) fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

pub(super) fn expression(name: &str, data: &[u8]) -> Vec<u8> {
    nest(1, &[text(1, name), nest(2, data)].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::{Extent, Ike, rules};
    use super::{Answers, Batch, message};

    #[test]
    fn every_part_is_as_long_as_it_says_and_aligned() {
        let mut batch = Batch::new();
        batch.add_table("sekisho_x");
        let ike = Ike { ports: &[500, 4500], peer_may_be_protected: true };
        let rules = rules::count("x", ike, Extent::Whole);
        rules::add(&mut batch, "sekisho_x", "x", ike, Extent::Whole);
        let (bytes, mut at, mut kinds) = (batch.bytes(), 0, Vec::new());
        while at < bytes.len() {
            let length = u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            kinds.push(u16::from_ne_bytes(bytes[at + 4..at + 6].try_into().unwrap()));
            assert_eq!(length % 4, 0);
            at += usize::try_from(length).unwrap();
        }
        assert_eq!(at, bytes.len());
        assert_eq!(kinds.iter().filter(|kind| **kind == 0xa06).count(), rules);
        kinds.retain(|kind| *kind != 0xa06);
        assert_eq!(kinds, [16, 0xa00, 0xa03, 0xa03, 0xa03, 17]);
    }

    #[test]
    fn answers_that_lie_about_their_length_end_the_reading() {
        let refusal = |code: i32| {
            let mut answer = message(2, 0, 7, (0, 0), &[0; 16]);
            answer[16..20].copy_from_slice(&code.to_ne_bytes());
            answer
        };
        let mut answers = Answers::to(7);
        assert_eq!(answers.read(&refusal(-libc::EPERM)).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert!(!answers.are_complete());
        answers.read(&refusal(0)).unwrap();
        assert!(answers.are_complete());
        for length in [0, 1, 15, 0xffff_u32] {
            let mut lying = refusal(0);
            lying[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(Answers::to(7).read(&lying).is_err(), "{length}");
        }
    }
}
