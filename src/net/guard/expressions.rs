//! What a rule looks at in a packet and does with it, as expressions of `nf_tables`.

use super::message::{attribute, expression, nest, number};

/// Conditions, which must all hold, and what is done then.
pub(super) type Rule = Vec<Vec<u8>>;

pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;
pub(super) const ICMP: u8 = 1;
pub(super) const UDP: u8 = 17;
pub(super) const ESP: u8 = 50;
pub(super) const ICMPV6: u8 = 58;

/// `RTN_LOCAL`: an address of this machine.
pub(super) const LOCAL: u32 = 2;
/// `RTN_BROADCAST`: that of a network of ours.
pub(super) const BROADCAST: u32 = 3;

pub(super) const EQUAL: u32 = 0;
pub(super) const UNEQUAL: u32 = 1;
pub(super) const AT_MOST: u32 = 3;
pub(super) const AT_LEAST: u32 = 5;

const REGISTER: u32 = 1;
const VERDICT: u32 = 0;
const ACCEPT: u32 = 1;
const DROP: u32 = 0;

const INTERFACE_NAME: u32 = 6;
/// 2 or 10.
const FAMILY: u32 = 15;
const PROTOCOL: u32 = 16;
/// The index of the member of a VRF that a packet came in by.
const MEMBER: u32 = 33;

const FIB_INTERFACE: u32 = 1;
const FIB_INTERFACE_NAME: u32 = 2;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_OF_DESTINATION: u32 = 1 << 1;
/// That of the source, as a packet with the mark that this one has: who routes by marks is understood.
const FIB_OF_SOURCE: u32 = 1 | 1 << 2;
/// Only a route through the interface that the packet came in by, and one of the VRF that this belongs to.
const FIB_BACK: u32 = 1 << 3;
/// The mark of the socket that takes it.
const SOCKET_MARK: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// In IPv4 multicast begins here, and 255.255.255.255 lies beyond; in IPv6 it is this.
const MULTICAST: [u8; 2] = [224, 0xff];

/// Three bits and the offset of a fragment of IPv4: that more follow, or that it is not the first.
const OFFSET_AND_MORE: [u8; 2] = [0x3f, 0xff];
const OFFSET: [u8; 2] = [0x1f, 0xff];
/// The header of a fragment of IPv6; in it, the place of the offset and of three bits more.
const FRAGMENT: u8 = 44;
const FRAGMENT_OFFSET: (u32, u32) = (2, 2);
/// Whether there is such a header, in the place of what it says.
const IS_PRESENT: u32 = 1;
/// Of the second fragment at the earliest: eight bytes.
const FURTHER: [u8; 2] = [0, 8];

pub(super) fn accept() -> Rule {
    vec![verdict(ACCEPT)]
}

fn verdict(verdict: u32) -> Vec<u8> {
    let data = nest(2, &nest(2, &number(1, verdict)));
    expression("immediate", &[number(1, VERDICT), data].concat())
}

/// What has a source whose answer would go into this interface, or nowhere, is dropped and counted.
pub(super) fn drop_clear(interface: &str) -> [Rule; 2] {
    [(FIB_INTERFACE_NAME, name_register(interface)), (FIB_INTERFACE, vec![0; 4])].map(|(result, value)| {
        let way = fib(result, FIB_OF_SOURCE);
        vec![way, compare(EQUAL, &value), expression("counter", &[]), verdict(DROP)]
    })
}

/// Whether its answer would leave by the interface that it came in by.
pub(super) fn came_the_way_back() -> Rule {
    vec![fib(FIB_INTERFACE, FIB_OF_SOURCE | FIB_BACK), compare(UNEQUAL, &[0; 4])]
}

/// Whether its destination is of this kind.
pub(super) fn to(kind: u32) -> Rule {
    vec![fib(FIB_ADDRESS_TYPE, FIB_OF_DESTINATION), compare(EQUAL, &kind.to_ne_bytes())]
}

fn fib(result: u32, of: u32) -> Vec<u8> {
    expression("fib", &[number(1, REGISTER), number(2, result), number(3, of)].concat())
}

/// Whether it did come in by this interface ([`EQUAL`]), or did not.
pub(super) fn from(how: u32, interface: &str) -> Rule {
    vec![load(INTERFACE_NAME), compare(how, &name_register(interface))]
}

/// Whether it came in by no VRF ([`EQUAL`]), or by one.
pub(super) fn from_no_vrf(how: u32) -> Rule {
    vec![load(MEMBER), compare(how, &[0; 4])]
}

/// Whether it is for a group, or in IPv4 for all on the line.
pub(super) fn multicast() -> [Rule; 2] {
    let [from, is] = MULTICAST;
    [
        [family(IPV4), vec![payload(NETWORK_HEADER, 16, 1), compare(AT_LEAST, &[from])]].concat(),
        [family(IPV6), vec![payload(NETWORK_HEADER, 24, 1), compare(EQUAL, &[is])]].concat(),
    ]
}

/// Whether it is no fragment.
pub(super) fn whole() -> [Rule; 2] {
    let parts = [number(1, REGISTER), attribute(2, &[FRAGMENT]), number(3, 0), number(4, 1)];
    let present = expression("exthdr", &[parts.concat(), number(5, IS_PRESENT)].concat());
    [ipv4_fragment(EQUAL, OFFSET_AND_MORE), [family(IPV6), vec![present, compare(EQUAL, &[0])]].concat()]
}

/// Whether it is a fragment, and not the first.
pub(super) fn further_fragment() -> [Rule; 2] {
    let (offset, length) = FRAGMENT_OFFSET;
    let parts = [number(1, REGISTER), attribute(2, &[FRAGMENT]), number(3, offset), number(4, length)];
    let further = vec![expression("exthdr", &parts.concat()), compare(AT_LEAST, &FURTHER)];
    [ipv4_fragment(UNEQUAL, OFFSET), [family(IPV6), further].concat()]
}

/// Compares with zero what the mask leaves.
fn ipv4_fragment(how: u32, mask: [u8; 2]) -> Rule {
    let parts = [number(1, REGISTER), number(2, REGISTER), number(3, 2)];
    let [mask, nothing] = [(4, mask), (5, [0; 2])].map(|(kind, value)| nest(kind, &attribute(1, &value)));
    let masked = expression("bitwise", &[parts.concat(), mask, nothing].concat());
    [family(IPV4), vec![payload(NETWORK_HEADER, 6, 2), masked, compare(how, &[0; 2])]].concat()
}

/// ICMP is of one family: in packets of the other its number says nothing.
pub(super) fn protocol(protocol: u8) -> Rule {
    let family = match protocol {
        ICMP => family(IPV4),
        ICMPV6 => family(IPV6),
        _ => Vec::new(),
    };
    [family, vec![load(PROTOCOL), compare(EQUAL, &[protocol])]].concat()
}

/// Whether it is UDP to this port; only the first fragment says so.
pub(super) fn udp_to(port: u16) -> Rule {
    let port = vec![payload(TRANSPORT_HEADER, 2, 2), compare(EQUAL, &port.to_be_bytes())];
    [protocol(UDP), port].concat()
}

/// Whether it is ICMP of these types.
pub(super) fn icmp(icmp: u8, (first, last): (u8, u8)) -> Rule {
    let kind = payload(TRANSPORT_HEADER, 0, 1);
    [protocol(icmp), vec![kind, compare(AT_LEAST, &[first]), compare(AT_MOST, &[last])]].concat()
}

/// Whether a socket with a mark waits for it.
pub(super) fn for_marked_socket() -> Rule {
    let socket = expression("socket", &[number(1, SOCKET_MARK), number(2, REGISTER)].concat());
    vec![socket, compare(UNEQUAL, &[0; 4])]
}

pub(super) fn family(family: u8) -> Rule {
    vec![load(FAMILY), compare(EQUAL, &[family])]
}

fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
    let parts = [number(1, REGISTER), number(2, base), number(3, offset), number(4, length)];
    expression("payload", &parts.concat())
}

fn load(what: u32) -> Vec<u8> {
    expression("meta", &[number(1, REGISTER), number(2, what)].concat())
}

fn compare(how: u32, value: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, REGISTER), number(2, how), nest(3, &attribute(1, value))].concat())
}

/// The name of an interface as the kernel keeps it in a register.
fn name_register(interface: &str) -> Vec<u8> {
    let mut name = interface.as_bytes().to_vec();
    name.resize(libc::IFNAMSIZ, 0);
    name
}
