//! The rules of a guard, as expressions of `nf_tables`.

use super::message::{Batch, attribute, expression, nest, number};

/// What has another destination than this machine; and what has not.
const FORWARD: (&str, u32) = ("forward", 2);
const INPUT: (&str, u32) = ("input", 1);

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

const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
const AT_MOST: u32 = 3;
const AT_LEAST: u32 = 5;

const FIB_INTERFACE: u32 = 1;
const FIB_INTERFACE_NAME: u32 = 2;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_OF_DESTINATION: u32 = 1 << 1;
/// That of the source, as a packet with the mark that this one has: who routes by marks is understood.
const FIB_OF_SOURCE: u32 = 1 | 1 << 2;
/// The mark of the socket that takes it.
const SOCKET_MARK: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `RTN_BROADCAST`: that of a network of ours.
const BROADCAST: u32 = 3;
/// In IPv4 multicast begins here, and 255.255.255.255 lies beyond; in IPv6 it is this.
const MULTICAST: [u8; 2] = [224, 0xff];
const ICMP: u8 = 1;
const UDP: u8 = 17;
const ESP: u8 = 50;
const ICMPV6: u8 = 58;
/// DHCP's clients, for IPv4 and IPv6.
const DHCP_CLIENTS: [u16; 2] = [68, 546];
/// What tells of an error: its receiver compares what it quotes.
const ICMP_ERRORS: [(u8, u8); 2] = [(3, 3), (11, 12)];
/// The same, and neighbours and routers, whose messages no router can have passed on (RFC 4861 §6.1, §7.1: hop limit 255).
const ICMPV6_ERRORS_AND_NEIGHBOURS: [(u8, u8); 2] = [(1, 4), (133, 137)];

/// What of a packet is looked at, and what is done.
type Rule = Vec<Vec<u8>>;

/// All chains and rules: those about what is for the machine itself if the ports of IKE are said.
pub(super) fn add(batch: &mut Batch, table: &str, interface: &str, ports: Option<&[u16]>) {
    for ((chain, hook), rules) in chains(interface, ports) {
        batch.add_chain(table, chain, hook);
        rules.iter().for_each(|rule| batch.add_rule(table, chain, rule));
    }
}

/// How many rules that makes.
pub(super) fn count(interface: &str, ports: Option<&[u16]>) -> usize {
    chains(interface, ports).map(|(_, rules)| rules.len()).sum()
}

type Chain = ((&'static str, u32), Vec<Rule>);

fn chains(interface: &str, ports: Option<&[u16]>) -> impl Iterator<Item = Chain> {
    let own = ports.map(|ports| (INPUT, own(interface, ports)));
    [(FORWARD, forwarded(interface))].into_iter().chain(own)
}

/// What did not come from this interface, and whose answer would go there, or nowhere. A VRF has routes of its own, of which
/// older kernels would not think.
fn forwarded(interface: &str) -> Vec<Rule> {
    let elsewhere = [
        vec![load(MEMBER), compare(EQUAL, &[0; 4])],
        vec![load(INTERFACE_NAME), compare(UNEQUAL, &name_register(interface))],
    ];
    let elsewhere = elsewhere.concat();
    drop_clear(interface).into_iter().map(|rule| [elsewhere.clone(), rule].concat()).collect()
}

/// The same of what is for this machine itself, but for what makes a line one, and what our own and other marked sockets have asked
/// for: those go past the tunnel, and so do the answers.
fn own(interface: &str, ports: &[u16]) -> Vec<Rule> {
    let mut rules = vec![
        vec![load(INTERFACE_NAME), compare(EQUAL, &name_register(interface)), accept()],
        vec![load(INTERFACE_NAME), compare(EQUAL, &name_register("lo")), accept()],
        vec![load(MEMBER), compare(UNEQUAL, &[0; 4]), accept()],
        [protocol(ESP), vec![accept()]].concat(),
    ];
    rules.extend(for_many());
    for port in ports.iter().chain(&DHCP_CLIENTS) {
        let to_port = vec![transport(2, 2), compare(EQUAL, &port.to_be_bytes()), accept()];
        rules.push([protocol(UDP), to_port].concat());
    }
    for (icmp, types) in [(ICMP, ICMP_ERRORS), (ICMPV6, ICMPV6_ERRORS_AND_NEIGHBOURS)] {
        for (first, last) in types {
            let among =
                vec![transport(0, 1), compare(AT_LEAST, &[first]), compare(AT_MOST, &[last]), accept()];
            rules.push([protocol(icmp), among].concat());
        }
    }
    let socket = expression("socket", &[number(1, SOCKET_MARK), number(2, REGISTER)].concat());
    rules.push(vec![socket, compare(UNEQUAL, &[0; 4]), accept()]);
    rules.extend(drop_clear(interface));
    rules
}

/// What is for many: by its IP destination, as whoever is on the same line may send any packet in a frame for all.
fn for_many() -> [Rule; 3] {
    let [from, is] = MULTICAST;
    let parts = [number(1, REGISTER), number(2, FIB_ADDRESS_TYPE), number(3, FIB_OF_DESTINATION)];
    let ours = vec![expression("fib", &parts.concat()), compare(EQUAL, &BROADCAST.to_ne_bytes()), accept()];
    [
        [family(IPV4), vec![network(16), compare(AT_LEAST, &[from]), accept()]].concat(),
        [family(IPV6), vec![network(24), compare(EQUAL, &[is]), accept()]].concat(),
        [family(IPV4), ours].concat(),
    ]
}

/// What has a source whose answer would go into this interface, or nowhere.
fn drop_clear(interface: &str) -> [Rule; 2] {
    [(FIB_INTERFACE_NAME, name_register(interface)), (FIB_INTERFACE, vec![0; 4])].map(|(result, value)| {
        let parts = [number(1, REGISTER), number(2, result), number(3, FIB_OF_SOURCE)];
        vec![
            expression("fib", &parts.concat()),
            compare(EQUAL, &value),
            expression("counter", &[]),
            verdict(DROP),
        ]
    })
}

fn accept() -> Vec<u8> {
    verdict(ACCEPT)
}

fn verdict(verdict: u32) -> Vec<u8> {
    let data = nest(2, &nest(2, &number(1, verdict)));
    expression("immediate", &[number(1, VERDICT), data].concat())
}

/// ICMP is of one family: in packets of the other its number says nothing.
fn protocol(protocol: u8) -> Rule {
    let family = match protocol {
        ICMP => family(IPV4),
        ICMPV6 => family(IPV6),
        _ => Vec::new(),
    };
    [family, vec![load(PROTOCOL), compare(EQUAL, &[protocol])]].concat()
}

fn family(family: u8) -> Rule {
    vec![load(FAMILY), compare(EQUAL, &[family])]
}

/// A byte of the IP header.
fn network(offset: u32) -> Vec<u8> {
    payload(NETWORK_HEADER, offset, 1)
}

/// So many bytes of TCP's, UDP's or ICMP's header.
fn transport(offset: u32, length: u32) -> Vec<u8> {
    payload(TRANSPORT_HEADER, offset, length)
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
