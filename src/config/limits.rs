//! Floor, ceiling and default of every setting with a range, in one place.

use std::time::Duration;

/// The range of a setting, both ends allowed, and what holds when it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The smallest value.
    pub floor: T,
    /// The value of a setting that is absent.
    pub default: T,
    /// The largest value.
    pub ceiling: T,
}

const fn bounds<T>(floor: T, default: T, ceiling: T) -> Bounds<T> {
    Bounds { floor, default, ceiling }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `ike_lifetime`: an IKE SA is replaced before this.
pub const IKE_LIFETIME: Bounds<Duration> = bounds(s(10), s(8 * 3600), s(7 * 86_400));
/// `child_lifetime`: a Child SA is replaced before this.
pub const CHILD_LIFETIME: Bounds<Duration> = bounds(s(10), s(3600), s(86_400));
/// A lifetime is at least this many whole retransmission schedules, so that a rekey may fail and be tried again.
pub const SCHEDULES_IN_A_LIFETIME: u32 = 4;
/// `child_packets`; the ceiling is what RFC 4303 leaves with extended sequence numbers and a wide margin.
pub const CHILD_PACKETS: (u64, u64) = (1000, 1 << 40);
/// The ceiling of `child_packets` for a proposal with 32-bit sequence numbers only.
pub const CHILD_PACKETS_SHORT: u64 = 1 << 31;
/// `child_bytes`.
pub const CHILD_BYTES: (u64, u64) = (1_000_000, i64::MAX.unsigned_abs());
/// `keepalive`: RFC 3948 §4 recommends 20 s.
pub const KEEPALIVE: Bounds<Duration> = bounds(s(1), s(20), s(300));
/// `liveness`: silence after which the peer is probed.
pub const LIVENESS: Bounds<Duration> = bounds(s(1), s(10), s(3600));
/// `inactivity`: how long a child is kept without a packet. The default is of no effect: without the key it is kept for
/// ever.
pub const INACTIVITY: Bounds<Duration> = bounds(s(5), s(600), s(86_400));
/// `retransmit_first`.
pub const RETRANSMIT_FIRST: Bounds<Duration> = bounds(ms(50), ms(500), s(10));
/// `retransmit_tries`.
pub const RETRANSMIT_TRIES: Bounds<u32> = bounds(1, 5, 10);
/// The longest that a whole retransmission schedule may take.
pub const RETRANSMIT_WHOLE_MAX: Duration = s(600);
/// `retry_first`: before the second attempt to set a tunnel up.
pub const RETRY_FIRST: Bounds<Duration> = bounds(ms(100), s(1), s(60));
/// `retry_max`: the longest wait between two attempts.
pub const RETRY_MAX: Bounds<Duration> = bounds(s(1), s(60), s(3600));
/// `fragment_size`, bytes of IP packet: every line that carries IPv6 carries 1,280 (RFC 8200 §5), every IPv4 one 576.
pub const FRAGMENT_SIZE: Bounds<u16> = bounds(576, 1280, 1500);

/// `mtu`, bytes. Below [`MTU_MIN_IPV6`] no IPv6 passes.
pub const MTU: (u16, u16) = (576, 9216);
/// The smallest MTU with which a line may carry IPv6 (RFC 8200 §5).
pub const MTU_MIN_IPV6: u16 = 1280;
/// `replay_window`, packets.
pub const REPLAY_WINDOW: Bounds<u32> = bounds(32, 1024, 65_536);
/// `workers`: the last byte of an SPI tells them apart, and each takes two threads and some MiB.
pub const WORKERS: (u8, u8) = (1, 64);
/// The most that are started where none are asked for: beyond it the line is the bottleneck.
pub const WORKERS_AUTO: u8 = 16;
/// `dscp`: six bits.
pub const DSCP: (u8, u8) = (0, 63);
/// `rule_priority`: before the kernel's rule for the main table (32766) and after its local one (0).
pub const RULE_PRIORITY: Bounds<u32> = bounds(1, 7296, 32_765);
/// `cookie_threshold`, half-open SAs; RFC 7296 §2.6 leaves the number open. 0: everyone brings one, always.
pub const COOKIE_THRESHOLD: Bounds<u32> = bounds(0, 128, 65_536);
/// `half_open_max`, half-open SAs.
pub const HALF_OPEN_MAX: Bounds<u32> = bounds(16, 1000, 65_536);
/// `route_table`; [`ROUTE_TABLES_OF_THE_KERNEL`] are excepted.
pub const ROUTE_TABLE: Bounds<u32> = bounds(1, 7296, u32::MAX);
/// The tables `default`, `main` and `local`.
pub const ROUTE_TABLES_OF_THE_KERNEL: std::ops::RangeInclusive<u32> = 253..=255;

/// Bytes of a configuration file.
pub const FILE_BYTES: u64 = 16 << 20;
/// Bytes of a key file.
pub const KEY_FILE_BYTES: u64 = 4096;
/// Bytes of a file with a private or public key.
pub const PRIVATE_KEY_FILE_BYTES: u64 = 64 << 10;
/// Bytes of a file with certificates, alone or with their key.
pub const CERTIFICATE_FILE_BYTES: u64 = 1 << 20;
/// Bytes of a file with revocation lists.
pub const CRL_FILE_BYTES: u64 = 32 << 20;
/// Things in one such file.
pub const BLOCKS: usize = 256;
/// Files in one of the lists of certificates, keys or revocation lists.
pub const FILES: usize = 64;
/// Iterations that a passphrase may need; more would hold the daemon up at each reload.
pub const PASSPHRASE_ITERATIONS: u32 = 10_000_000;
/// Bytes of memory that a passphrase may need.
pub const PASSPHRASE_MEMORY: u64 = 256 << 20;
/// Before this a certificate's end is warned of.
pub const EXPIRY_WARNING: Duration = s(30 * 86_400);
/// How long after its lifetime the data path ends a Child SA by itself. Control does so in time; if it hangs, no key lives on for
/// that. After a suspend beyond the lifetime nothing passes until the rekey that is begun at once.
pub const OVERDUE: Duration = s(60);
/// Bytes of the name of a tunnel or child.
pub const NAME_BYTES: usize = 64;
/// Networks on one side of a child: a TS payload counts them in one byte (RFC 7296 §3.13).
pub const NETWORKS: usize = 255;
/// Ranges of addresses in a pool.
pub const POOL_RANGES: usize = 64;
/// Name servers that go with a pool's addresses.
pub const POOL_NAME_SERVERS: usize = 8;
/// Pools of one tunnel.
pub const TUNNEL_POOLS: usize = 8;
/// Proposals in a list.
pub const PROPOSALS: usize = 32;
/// Hosts in `remote`.
pub const HOSTS: usize = 16;
/// Child SAs of a tunnel.
pub const CHILDREN: usize = 64;
/// Bytes of an interface's name (the kernel's `IFNAMSIZ`, less its end).
pub const INTERFACE_NAME_BYTES: usize = 15;
/// Bytes of a socket's path (the kernel's `sun_path`, less its end and room for a temporary name).
pub const SOCKET_PATH_BYTES: usize = 90;
