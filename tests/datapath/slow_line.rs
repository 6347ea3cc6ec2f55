//! A line that is slower than what is to go by it.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use sekisho::data::NewSa;
use sekisho::net::udp::{Outer, Segmentation, Sockets};

use crate::namespace::Namespace;
use crate::site::{SETTINGS, Site, address, path, place, sas_between, selectors};
use crate::traffic::pattern;

/// Of 100 ms at most, which we once gave each train.
const ROUNDS: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(8);

/// Nothing that is worth mentioning leaves by it, and no queue of the kernel's ends before our socket's buffer.
fn choke(namespace: &Namespace) {
    let words = "qdisc add dev wire root tbf rate 8kbit burst 2kb limit 1gb";
    let output = namespace.run(|| Command::new("tc").args(words.split(' ')).output().expect("tc"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Or a flood from inside would end all tunnels, on whichever line: nobody would hear from us.
#[test]
fn ike_leaves_by_a_line_whose_queue_is_full_and_trains_still_do_not() {
    let (site, far) = (Namespace::new(), Namespace::new());
    site.cable("wire", &far);
    site.ip("address add 192.0.2.1/24 dev wire");
    far.ip("address add 192.0.2.2/24 dev wire");
    let sockets = site.run(|| Sockets::bind(SETTINGS).expect("bind"));
    let [from, to] = ["192.0.2.1:4500", "192.0.2.2:4500"].map(|text| text.parse().expect("an address"));
    // The neighbour is known by then.
    sockets.send(from, to, false, &[0xff]).expect("send");
    choke(&site);
    let (socket, train) = (sockets.between(0, from, to).expect("a socket"), pattern(40 * 1_300));
    let lost = || {
        let sent = socket.send_train(Outer::plain(from, to), &train, 1_300, &Segmentation::default());
        assert!(sent.error.is_none_or(|error| error.kind() == ErrorKind::WouldBlock));
        sent.lost
    };
    assert!((0..10_000).any(|_| lost() > 0), "its queue gets full");
    for _ in 0..50 {
        sockets.send_marked(from, to, false, &pattern(500)).expect("there is room for IKE");
        sockets.send(from, to, true, &[0xff]).expect("and for a keepalive");
        assert_eq!(lost(), 40, "and for nothing else");
    }
}

/// From our address to this one.
fn install(site: &Site, id: u64, to: u8, outer: [&str; 2]) {
    let [mut here, mut there] = [site.place, place(to, false)];
    [here.outer, there.outer] = outer.map(address);
    let (inbound, outbound) = sas_between(id, &[selectors(here), selectors(there)], true);
    let path = path(here, there);
    site.install_sa(NewSa { id, tunnel: id, policy: id, inbound, outbound, path });
    site.switch_outbound(id);
}

/// One thread serves all lines: it must not wait for any, nor drop what goes by others.
#[test]
fn a_line_whose_queue_is_full_holds_up_no_other_and_what_is_lost_is_counted() {
    let (site, stuck, far) = (Namespace::new(), Namespace::new(), Namespace::new());
    site.cable("wire", &stuck);
    site.cable("fast", &far);
    for (namespace, own) in [(&site, "198.51.100.1"), (&far, "198.51.100.3")] {
        namespace.ip(&format!("address add {own}/24 dev fast"));
    }
    let site = Site::new(site, place(1, false), place(2, false));
    site.namespace.ip("route add 10.3.0.0/16 dev sekisho0 src 10.1.0.1");
    stuck.ip("address add 192.0.2.2/24 dev wire");
    install(&site, 1, 2, ["192.0.2.1", "192.0.2.2"]);
    install(&site, 2, 3, ["198.51.100.1", "198.51.100.3"]);
    let peer = far.run(|| UdpSocket::bind("198.51.100.3:4500").expect("bind"));
    peer.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
    let flood = || {
        (0..64)
            .for_each(|_| assert_eq!(host.send_to(&pattern(1_300), "10.2.0.1:7000").expect("send"), 1_300));
    };
    let lost = || site.drops("send_queue_full");

    // The neighbour is known by then.
    host.send_to(b"the first", "10.2.0.1:7000").expect("send");
    choke(&site.namespace);
    let give_up = Instant::now() + PATIENCE;
    while lost() == 0 {
        flood();
        assert!(Instant::now() < give_up, "its queue gets full");
    }
    let (before, give_up) = (lost(), Instant::now() + PATIENCE);
    for round in 0..ROUNDS {
        flood();
        host.send_to(b"by another line", "10.3.0.1:7000").expect("send");
        peer.recv(&mut [0; 2_000]).expect("it goes on");
        assert!(Instant::now() < give_up, "held up: round {round}");
    }
    assert!(lost() > before, "and it was full all the time");
}
