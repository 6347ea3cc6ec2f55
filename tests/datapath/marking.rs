//! DSCP and ECN over UDP (RFC 6040); without UDP: `native`.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use etherparse::{
    IpDscp, IpEcn, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder,
};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use sekisho_esp::DropReason;
use socket2::SockRef;

use crate::site::{Place, Site, place};
use crate::traffic::until;
use crate::trains::namespaces;

/// ECN: capable, and congestion experienced.
const ECT_0: u8 = 2;
const CE: u8 = 3;
/// DSCP of voice and of background traffic.
const VOICE: u8 = 0xb8;
const BACKGROUND: u8 = 0x20;

/// A datagram from the peer's host to ours.
fn datagram(ipv6: bool, tos: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = if ipv6 {
        let [source, destination] = [2, 1].map(|number| match place(number, false).inner6 {
            IpAddr::V6(address) => address.octets(),
            IpAddr::V4(_) => unreachable!("inner6 is IPv6"),
        });
        let header = Ipv6Header { source, destination, hop_limit: 64, ..Default::default() };
        IpHeaders::Ipv6(header, Ipv6Extensions::default())
    } else {
        let header = Ipv4Header::new(0, 64, IpNumber::UDP, [10, 2, 0, 1], [10, 1, 0, 1]);
        let mut header = header.expect("a header");
        header.dscp = IpDscp::try_new(tos >> 2).expect("six bits");
        header.ecn = IpEcn::try_new(tos & 3).expect("two bits");
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    };
    PacketBuilder::ip(ip).udp(7_000, 7_000).write(&mut packet, b"marked").expect("a packet");
    if ipv6 {
        (packet[0], packet[1]) = (packet[0] | tos >> 4, packet[1] | tos << 4);
    }
    packet
}

/// The TOS or traffic class that comes along with the next datagram.
pub(crate) fn tos_of_next(host: &UdpSocket) -> u8 {
    let mut bytes = [0; 100];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let mut space = nix::cmsg_space!(i32);
    let message =
        recvmsg::<SockaddrStorage>(host.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty());
    let message = message.expect("the packet");
    let mut control = message.cmsgs().expect("control messages");
    let tos = control.find_map(|one| match one {
        ControlMessageOwned::Ipv4Tos(tos) => Some(tos),
        ControlMessageOwned::Ipv6TClass(class) => u8::try_from(class).ok(),
        _ => None,
    });
    tos.expect("its TOS")
}

#[test]
fn dscp_and_ecn_are_carried_in_udp_both_ways() {
    for (outer_ipv6, ipv6) in [(false, false), (false, true), (true, false), (true, true)] {
        let (namespace, peer) = namespaces(outer_ipv6);
        let site = Site::new(namespace, place(1, outer_ipv6), peer.place);
        site.install(1, peer.place);
        site.switch_outbound(1);
        let inner = |of: Place| SocketAddr::new(if ipv6 { of.inner6 } else { of.inner4 }, 7_000);
        let host = site.namespace.run(|| UdpSocket::bind(inner(site.place)).expect("bind"));
        host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        let marked = SockRef::from(&host);
        for tos in [VOICE | ECT_0, BACKGROUND, 0] {
            if ipv6 {
                marked.set_tclass_v6(tos.into()).expect("IPV6_TCLASS");
            } else {
                marked.set_tos_v4(tos.into()).expect("IP_TOS");
            }
            host.send_to(b"marked", inner(peer.place)).expect("send");
            assert_eq!(peer.receive().tos, tos, "outside as inside");
        }

        // Congestion on the way to us is told inside; the DSCP outside is the network's own affair.
        if ipv6 {
            marked.set_recv_tclass_v6(true).expect("IPV6_RECVTCLASS");
        } else {
            marked.set_recv_tos_v4(true).expect("IP_RECVTOS");
        }
        for (outside, inside, delivered) in
            [(CE, VOICE | ECT_0, VOICE | CE), (VOICE | ECT_0, ECT_0, ECT_0), (VOICE, BACKGROUND, BACKGROUND)]
        {
            peer.send(outside, &[peer.seal(0, &datagram(ipv6, inside))]);
            assert_eq!(tos_of_next(&host), delivered, "{outside:x} {inside:x}");
        }
        // Whoever could not be told of congestion is told by the loss.
        peer.send(CE, &[peer.seal(0, &datagram(ipv6, VOICE))]);
        until("the loss", || site.drops(DropReason::EcnCeOnNotEct.code()) == 1);
    }
}
