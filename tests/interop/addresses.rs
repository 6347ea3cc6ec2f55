//! Addresses and name servers by configuration payload, in both roles.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{
    Capture, End, Gateway, Namespace, Outer, Sekisho, Site, StrongSwan, Tunnel, transfer, wait_until,
};

const BOTH: [Outer; 2] = [Outer::V4, Outer::V6];
const POOL: [&str; 2] = ["10.9.0.0/24", "2001:db8:9::/64"];
const DNS: [&str; 2] = ["10.0.0.53", "2001:db8::53"];
const FIRST: [&str; 2] = ["10.9.0.1", "2001:db8:9::1"];

#[test]
fn strongswan_takes_an_address_of_our_pool() {
    let site = Site::new("address_to_strongswan");
    let capture = Capture::start(&site);
    let sekisho = Sekisho::start(&site.b, &giver(&site, &POOL));
    let there = Tunnel::at(&site, End::A, Outer::V4).asking(&BOTH);
    let strongswan = StrongSwan::start(&site.a, &there);
    for _ in 0..2 {
        strongswan.initiate();
        let tunnel = sekisho.await_up();
        assert_eq!(tunnel["internal"]["addresses"], json!(FIRST), "{tunnel}");
        assert_eq!(tunnel["internal"]["given_by"], "here", "{tunnel}");
        assert_eq!(tunnel["children"][0]["remote"], json!(FIRST), "bound to the peer: {tunnel}");
        assert_eq!(pool(&sekisho)["ipv4_used"], 1);
        let written = strongswan.resolv_conf();
        assert!(DNS.iter().all(|server| written.contains(server)), "{written}");
        assert_carries(&site, FIRST);
        // Gone and come again, it gets the same.
        strongswan.terminate();
        sekisho.await_down(Duration::from_secs(10));
        assert_eq!(pool(&sekisho)["ipv4_used"], 0);
    }
    let routes = routes(&site.b);
    for route in ["10.9.0.0/24 dev sekisho0", "blackhole 10.9.0.0/24"] {
        assert!(routes.contains(route), "the pool is protected as any network is: {routes}");
    }
    capture.finish().assert_no_clear_text();
}

#[test]
fn we_take_an_address_of_strongswans_pool() {
    let site = Site::new("address_from_strongswan");
    let capture = Capture::start(&site);
    let strongswan = StrongSwan::start(&site.b, &giver(&site, &POOL));
    let sekisho = Sekisho::start(&site.a, &taker(&site));
    let tunnel = sekisho.await_up();
    let given = addresses(&tunnel);
    assert_eq!(tunnel["internal"]["given_by"], "peer", "{tunnel}");
    assert_eq!(tunnel["children"][0]["local"], json!(given), "{tunnel}");
    assert_eq!(on_the_tun(&site), given);
    assert_eq!(name_servers(&sekisho), DNS);
    assert!(
        routes(&site.a).contains(&format!("10.0.0.0/24 dev sekisho0 proto 94 scope link src {}", given[0])),
        "{}",
        routes(&site.a)
    );
    assert_carries(&site, [&given[0], &given[1]]);
    // strongSwan deletes it, and we set it up again: with the same address, which stays meanwhile.
    strongswan.terminate();
    let again = sekisho.await_up_again(&tunnel);
    assert_eq!((addresses(&again), on_the_tun(&site)), (given.clone(), given.clone()));
    assert_carries(&site, [&given[0], &given[1]]);
    sekisho.json(&["down", Tunnel::NAME]);
    wait_until(Duration::from_secs(5), "address and name servers to be gone", || {
        on_the_tun(&site).is_empty() && sekisho.resolv_conf().is_none()
    });
    // What was protected is still: it goes nowhere.
    assert!(
        routes(&site.a).contains("blackhole 10.0.0.0/24") && !routes(&site.a).contains(" src "),
        "{}",
        routes(&site.a)
    );
    capture.finish().assert_no_clear_text();
}

/// We ask for an address of each family, and strongSwan has IPv4 alone; what is behind it is of both.
#[test]
fn we_take_what_strongswan_has() {
    let site = Site::new("address_of_one_family");
    let capture = Capture::start(&site);
    let _strongswan = StrongSwan::start(&site.b, &giver(&site, &["10.9.0.16/28"]));
    let sekisho = Sekisho::start(&site.a, &taker(&site));
    let tunnel = sekisho.await_up();
    let given = addresses(&tunnel);
    assert_eq!((given.len(), &tunnel["children"][0]["local"]), (1, &json!(given)), "{tunnel}");
    ping(&site.a.namespace, site.b.inside[0]);
    assert_eq!(on_the_tun(&site), given);
    capture.finish().assert_no_clear_text();
}

#[test]
fn both_ends_are_ours_and_the_pool_changes() {
    let site = Site::new("address_pair");
    let capture = Capture::start(&site);
    let b = Sekisho::start(&site.b, &giver(&site, &POOL));
    let a = Sekisho::start(&site.a, &taker(&site));
    let tunnel = a.await_up();
    assert_eq!(addresses(&tunnel), FIRST);
    assert_eq!(name_servers(&a), DNS);
    assert_carries(&site, FIRST);
    let event = |sekisho: &Sekisho<'_>| {
        let output = sekisho.try_command(&["events", "--json"]).stdout;
        String::from_utf8_lossy(&output).lines().any(|line| line.contains("\"addresses_assigned\""))
    };
    assert!(event(&a) && event(&b), "both tell of it");
    // Both kinds of rekey keep it.
    a.rekey_child();
    b.rekey_ike();
    assert_eq!(
        (addresses(&a.await_up()), addresses(&b.await_up())),
        (addresses(&tunnel), addresses(&tunnel))
    );
    assert_carries(&site, FIRST);
    // A pool that grows keeps its leases.
    b.rewrite(&giver(&site, &["10.8.0.0/24", "10.9.0.0/24", "2001:db8:9::/64"]));
    let reloaded = b.json(&["reload"]);
    assert_eq!(reloaded["unchanged"], json!([Tunnel::NAME]), "{reloaded}");
    let kept = a.await_up();
    assert_eq!(
        (addresses(&kept), b.await_up()["internal"].clone()),
        (
            addresses(&tunnel),
            json!({
                "given_by": "here", "addresses": FIRST, "dns": DNS,
            })
        )
    );
    // One that no longer holds the address ends the tunnel, and the next one has another.
    let before = a.await_up();
    b.rewrite(&giver(&site, &["10.8.0.0/24", "2001:db8:9::/64"]));
    b.json(&["reload"]);
    let other = a.await_up_again(&before);
    assert_eq!(addresses(&other), ["10.8.0.1", "2001:db8:9::1"]);
    assert_eq!(on_the_tun(&site), ["10.8.0.1", "2001:db8:9::1"]);
    assert_carries(&site, ["10.8.0.1", "2001:db8:9::1"]);
    capture.finish().assert_no_clear_text();
}

/// Two clients, and a pool for one.
#[test]
fn the_second_is_refused_while_the_first_has_the_only_address() {
    let site = Site::new("address_pool_of_one");
    // The host behind gateway a is the second client; for the Internet it is at the router.
    site.masquerade();
    site.router.ip("route add 10.17.0.0/24 via 198.51.100.2");
    let mut hub = giver(&site, &["10.9.0.7"]);
    hub.local_networks = vec!["10.0.0.0/24".to_owned()];
    hub.more = "[tunnel.second]\nlocal_id = \"hub.example\"\nremote_id = \"clinic-18.example\"\npsk_file = \"centre.psk\"\nlocal_networks = [\"10.0.0.0/24\"]\npool = \"office\"\n".to_owned();
    let hub = Sekisho::start(&site.b, &hub);
    let only_v4 = |local_id| {
        let asks = Tunnel::at(&site, End::A, Outer::V4).asking(&[Outer::V4]);
        Tunnel { local_id, initiate: true, remote_networks: vec!["10.0.0.0/24".to_owned()], ..asks }
    };
    let first = Sekisho::start(&site.a, &only_v4("clinic-17.example"));
    assert_eq!(addresses(&first.await_up()), ["10.9.0.7"]);
    let second = Sekisho::start_in(&site.a.host, &only_v4("clinic-18.example"));
    let failure = second.await_failure();
    assert_eq!(failure["kind"], "address_refused", "{failure}");
    let of_second = named(&hub, "second");
    assert_eq!(of_second["last_failure"]["kind"], "pool_exhausted", "{of_second}");
    let words = of_second["last_failure"]["acceptable"].as_str().expect("how full it is");
    assert!(words.contains("1 of 1 IPv4"), "{words}");
    assert!(pool(&hub)["refused"].as_u64().is_some_and(|count| count >= 1), "{}", pool(&hub));
    // Once the first has gone, the second comes up by itself.
    first.json(&["down", Tunnel::NAME]);
    assert_eq!(addresses(&second.await_up()), ["10.9.0.7"]);
    ping(&site.a.host, site.b.inside[0]);
}

/// Whichever end has no pool: whoever asks gets no address, and no tunnel that it could not use; both are told why.
#[test]
fn who_asks_where_there_is_no_pool_is_refused() {
    let site = Site::new("address_without_pool");
    let none = Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) };
    {
        let sekisho = Sekisho::start(&site.b, &none);
        let strongswan = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4).asking(&BOTH));
        assert!(!strongswan.try_initiate().status.success());
        assert_eq!(sekisho.await_failure()["kind"], "no_pool");
        assert!(strongswan.log().contains("INTERNAL_ADDRESS_FAILURE"), "{}", strongswan.log());
        assert!(strongswan.child_spis().is_empty());
    }
    let strongswan = StrongSwan::start(&site.b, &none);
    let sekisho = Sekisho::start(&site.a, &taker(&site));
    let failure = sekisho.await_failure();
    assert_eq!(
        (&failure["kind"], &failure["refused_by"]),
        (&json!("address_refused"), &json!("peer")),
        "{failure}"
    );
    assert!(failure["advice"].as_str().unwrap().contains("pool"), "{failure}");
    sekisho.json(&["down", Tunnel::NAME]);
    strongswan.await_down();
}

/// The data centre: it answers, and gives its peer an address.
fn giver(site: &Site, pool: &[&'static str]) -> Tunnel {
    Tunnel { remote: None, ..Tunnel::at(site, End::B, Outer::V4).giving(pool, &DNS) }
}

/// The mobile endpoint: it asks for an address of each family.
fn taker(site: &Site) -> Tunnel {
    Tunnel { initiate: true, ..Tunnel::at(site, End::A, Outer::V4).asking(&BOTH) }
}

/// Ping and TCP both ways between the mobile endpoint and the host behind the data centre, in both families.
fn assert_carries(site: &Site, given: [&str; 2]) {
    for (family, address) in given.into_iter().enumerate() {
        let mobile: (_, IpAddr) = (&site.a.namespace, address.parse().expect("an address"));
        let host = (&site.b.host, site.b.inside[family]);
        ping(mobile.0, host.1);
        let (up, down) = (transfer(mobile, host, 1_000), transfer(host, mobile, 1_000));
        println!("TCP from and to {address}: {up:.0} and {down:.0} Mb/s");
    }
}

/// Three echo requests, each answered; their source is what the routes prefer.
fn ping(from: &Namespace, to: IpAddr) {
    from.sysctl("ipv4/ping_group_range", "0 0");
    from.run(|| {
        let (domain, protocol, [request, reply]) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, [8, 0]),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, [128, 129]),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol)).expect("a socket for echo requests");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set a time-out");
        socket.connect(&SocketAddr::new(to, 0).into()).expect("a route");
        for number in 1..=3 {
            socket.send(&[request, 0, 0, 0, 0, 0, 0, number, 1, 2, 3, 4]).expect("send an echo request");
            let mut answer = [0; 64];
            let length = (&socket).read(&mut answer).expect("an echo reply");
            assert_eq!((answer[0], &answer[7..length]), (reply, &[number, 1, 2, 3, 4][..]));
        }
    });
}

fn addresses(tunnel: &Value) -> Vec<String> {
    let all = tunnel["internal"]["addresses"].as_array().unwrap_or_else(|| panic!("addresses: {tunnel}"));
    all.iter().map(|address| address.as_str().expect("a text").to_owned()).collect()
}

/// Our routing table, IPv4.
fn routes(gateway: &Gateway) -> String {
    gateway.namespace.ip("route show table 7296")
}

/// The addresses of the TUN at a, IPv4 first.
fn on_the_tun(site: &Site) -> Vec<String> {
    let shown = site.a.namespace.ip("-json addr show dev sekisho0");
    let shown: Value = serde_json::from_str(&shown).expect("ip prints JSON");
    let all = shown[0]["addr_info"].as_array().expect("a list of addresses");
    let global = all.iter().filter(|address| address["scope"] == "global");
    global.map(|address| address["local"].as_str().expect("an address").to_owned()).collect()
}

fn name_servers(sekisho: &Sekisho<'_>) -> Vec<String> {
    let text = sekisho.resolv_conf().expect("a resolv.conf");
    text.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(str::to_owned).collect()
}

fn pool(sekisho: &Sekisho<'_>) -> Value {
    sekisho.json(&["status"])["pools"][0].clone()
}

fn named(sekisho: &Sekisho<'_>, name: &str) -> Value {
    let status = sekisho.json(&["status"]);
    let tunnels = status["tunnels"].as_array().expect("a list of tunnels");
    tunnels.iter().find(|tunnel| tunnel["name"] == name).expect("the tunnel").clone()
}
