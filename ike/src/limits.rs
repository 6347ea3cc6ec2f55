//! Every bound of the endpoint, in one place.

use std::time::Duration;

/// Attributes in one Configuration payload.
pub const CONFIGURATION_ATTRIBUTES: usize = 64;
/// Payloads in one chain.
pub const PAYLOADS: usize = 64;
/// Proposals in one SA payload.
pub const PROPOSALS: usize = 64;
/// Transforms in one proposal.
pub const TRANSFORMS: usize = 128;
/// SPIs in one Delete payload.
pub const DELETED_SPIS: usize = 256;
/// Unknown SPIs among them that are remembered while an answer is on its way that may make one of them.
pub const DELETED_EARLY: usize = 16;
/// Nonce length in bytes (RFC 7296 §2.10).
pub const NONCE: std::ops::RangeInclusive<usize> = 16..=256;
/// Fragments of one message (RFC 7383).
pub const FRAGMENTS: u16 = 64;
/// Bytes of the payloads of a message that came in fragments.
pub const MESSAGE: usize = 65_536;
/// Bytes of the IP packets that carry a fragment, while it is not known for whom: every line that carries IPv6 carries
/// them (RFC 8200 §5).
pub const FRAGMENT_SIZE: u16 = 1280;
/// What every IPv4 host takes (RFC 791 §3.2): no path is taken to carry less.
pub const PATH_MTU_LEAST_IPV4: u16 = 576;
/// What every IPv6 line carries (RFC 8200 §5): the same.
pub const PATH_MTU_LEAST_IPV6: u16 = 1280;
/// What nearly every path carries (`BASE_PLPMTU`, RFC 8899 §5.1.2): believed while it is found out what a path carries that
/// swallowed a larger packet.
pub const PATH_MTU_BASE: u16 = 1280;
/// How often a packet of one size gets lost, while small ones do not, before that size is taken not to pass.
pub const PATH_MTU_LOSSES: u32 = 2;
/// How often it gets lost together with small ones before it is taken not to pass.
pub const PATH_MTU_UNCLEAR: u32 = 5;
/// The longest that the answer to such a packet is waited for.
pub const PATH_MTU_WAIT: Duration = Duration::from_secs(4);
/// How long after what a path carries was found out it is tried whether more passes, give or take a tenth (`PMTU_RAISE_TIMER`, RFC
/// 8899 §5.1.1).
pub const PATH_MTU_AGAIN: Duration = Duration::from_mins(10);
/// The same after it was found to carry less or more than before; doubled each time that no more passes, up to that.
pub const PATH_MTU_SOON: Duration = Duration::from_mins(1);
/// How long after that it is verified that as much still passes, if packets were sent since.
pub const PATH_MTU_VERIFIED: Duration = Duration::from_secs(90);
/// The same, if packets were sent and none came back.
pub const PATH_MTU_DOUBTED: Duration = Duration::from_secs(10);
/// How long no packet has come then.
pub const PATH_MTU_SILENCE: Duration = Duration::from_secs(3);
/// How long after the peer's probes had us verify what we believe they do not again.
pub const PATH_MTU_HINTED: Duration = Duration::from_secs(30);
/// The longest cookie that we return, bytes (RFC 7296 §2.6).
pub const COOKIE: usize = 64;
/// How often one attempt returns a cookie or changes its group before it is given up.
pub const INIT_RESTARTS: u32 = 5;
/// How often it may be told to do what it does already: such an answer may only be late.
pub const INIT_REPEATS: u32 = 5;
/// Traffic selectors accepted from a peer in one payload (the wire allows 255).
pub const SELECTORS: usize = 64;
/// Child SAs of one tunnel, the ones being replaced included.
pub const CHILD_SAS: usize = 64;
/// IKE SAs of one tunnel, the ones being replaced included.
pub const IKE_SAS: usize = 8;
/// Exchanges that wait for the window of one tunnel.
pub const TASKS: usize = 64;
/// Datagrams of a responder that are kept while its proof is examined, of one attempt,
pub const EARLY_DATAGRAMS: usize = 8;
/// and their bytes.
pub const EARLY_BYTES: usize = 16 * 1024;
/// Half-open SAs (as responder) from one address, from one IPv6 /64 or IPv4 /24, and from one IPv6 /48: a subscriber may have
/// as much as that, and every address of it.
pub const HALF_OPEN_PER_ADDRESS: usize = 8;
/// See [`HALF_OPEN_PER_ADDRESS`].
pub const HALF_OPEN_PER_PREFIX: usize = 64;
/// See [`HALF_OPEN_PER_ADDRESS`].
pub const HALF_OPEN_PER_SITE: usize = 256;
/// Tunnels that are up at once.
pub const TUNNELS: usize = 65_536;
/// Tunnels of one identity that may stand side by side, where they may at all.
pub const TUNNELS_OF_ONE_PEER: usize = 16;
/// Addresses of one pool that are kept for the peers that had them last.
pub const REMEMBERED_LEASES: usize = 65_536;
/// Name servers that are taken from a peer.
pub const NAME_SERVERS: usize = 8;
/// Datagrams waiting for the driver. (Events are no more than one input brings about: it drains them after each.)
pub const OUTPUT_QUEUE: usize = 4_096;
/// Bytes of one certificate.
pub const CERTIFICATE: usize = 16 * 1024;
/// Certificates that one peer may send.
pub const CERTIFICATES: usize = 16;
/// Bytes of all of them, OCSP responses included: less than [`MESSAGE`], which would hide them.
pub const CERTIFICATES_TOTAL: usize = 48 * 1024;
/// Extensions of one certificate, and of one revocation list or OCSP response.
pub const EXTENSIONS: usize = 64;
/// Names of one certificate, and subtrees of one that constrains names.
pub const CERTIFICATE_NAMES: usize = 256;
/// Certificates in one path, the end entity's and the anchor's included.
pub const PATH_DEPTH: usize = 8;
/// Signatures checked while a path is looked for.
pub const PATH_SIGNATURES: usize = 64;
/// Bytes of a distinguished name that is an identity.
pub const DISTINGUISHED_NAME: usize = 2_048;
/// Bytes of one public key with its algorithm: RSA of 8,192 bits needs 1,062.
pub const PUBLIC_KEY: usize = 2_048;
/// Hash functions that we look at in one `SIGNATURE_HASH_ALGORITHMS`.
pub const SIGNATURE_HASHES: usize = 32;
/// Key hashes that we look at in one CERTREQ.
pub const CERTREQ_HASHES: usize = 256;
/// Bytes of one revocation list.
pub const CRL: usize = 16 * 1024 * 1024;
/// Bytes of one OCSP response.
pub const OCSP_RESPONSE: usize = 16 * 1024;
/// Certificates that one OCSP response answers about, and certificates of the responder in it.
pub const OCSP_ANSWERS: usize = 64;
/// See [`OCSP_ANSWERS`].
pub const OCSP_CERTIFICATES: usize = 8;
/// OCSP responses that a peer may send along.
pub const STAPLED_RESPONSES: usize = 8;
/// URLs of one kind that are taken from one certificate.
pub const REVOCATION_URLS: usize = 4;
/// Bytes of such a URL.
pub const URL: usize = 2_048;
/// Bytes of a peer's text or list quoted in a diagnosis.
pub const DIAGNOSIS_QUOTE: usize = 400;
/// Characters of one text of a diagnosis.
pub const DIAGNOSIS_TEXT: usize = 1_000;
/// Refused first messages that are compared with what we have and told of, in [`REFUSALS_PERIOD`]. They leave nothing behind
/// that would bring cookies about, so the others must cost no more than the answer.
pub const REFUSALS_TOLD: u32 = 20;
/// Refused `IKE_AUTH` requests that are told of in [`REFUSALS_PERIOD`]: who sent them has an address, and proved nothing.
pub const REFUSED_PROOFS_TOLD: u32 = 200;
/// Datagrams that cannot be read and are answered all the same, in [`REFUSALS_PERIOD`].
pub const UNREAD_ANSWERED: u32 = 20;
/// See [`REFUSALS_TOLD`].
pub const REFUSALS_PERIOD: Duration = Duration::from_secs(10);
/// Connections that are looked at for one that a peer with an unknown identity may mean.
pub const DIAGNOSIS_CANDIDATES: usize = 64;
/// Bytes of the longest identity that is compared letter by letter with others.
pub const NEAR_IDENTITY: usize = 128;
/// Refusals that named no tunnel which are kept with a tunnel that they were perhaps meant for.
pub const NEAR_MISSES: usize = 3;
/// Tunnels with which one such refusal is kept.
pub const NEAR_MISS_TUNNELS: usize = 8;
/// Addresses that are remembered for having been refused what some connection was told of.
pub const REFUSALS_NOTED: usize = 1_024;
/// Refusals of no tunnel that are kept for the operator, and for how long.
pub const REFUSALS_KEPT: usize = 16;
/// See [`REFUSALS_KEPT`].
pub const REFUSALS_KEPT_FOR: Duration = Duration::from_hours(24);
/// Addresses that are remembered for having begun once and not gone on, and for how long.
pub const UNHEARD_NOTED: usize = 64;
/// See [`UNHEARD_NOTED`].
pub const UNHEARD_PERIOD: Duration = Duration::from_hours(1);
/// Addresses that are named of those where somebody began and has not gone on.
pub const BEGUN_TOLD: usize = 64;
/// What deserves a look with one connection, of however many peers.
pub const WARNINGS: usize = 8;
/// Lines of a comparison in a diagnosis.
pub const COMPARISON_ROWS: usize = 16;
/// Words of one cell of such a line, and remarks on it.
pub const COMPARISON_WORDS: usize = 12;

/// Places that are asked at once about the revocation of one peer's certificates.
pub const FETCHES: usize = 16;
/// Pieces of arithmetic for strangers that are being done or wait for it.
pub const STRANGER_WORK: usize = 256;
/// Questions about the revocation of strangers' certificates that are not answered yet. Each of these has proved that it has
/// the key of a trusted certificate, and none costs us more than memory while it waits.
pub const STRANGER_QUESTIONS: usize = 4_096;
/// How long a piece of work for an attempt of ours may take; the shell has lost it then.
pub const WORK_TIME: Duration = Duration::from_mins(1);

/// How often a first message is answered again: its sender's address may be forged, and the answer longer than it.
pub const FIRST_ANSWER_REPEATS: u32 = 16;
/// How long a half-open SA waits for its `IKE_AUTH` request.
pub const HALF_OPEN_LIFETIME: Duration = Duration::from_secs(30);
/// How long a refused one answers its repeated request: as long as most initiators repeat it, and so short that one
/// who corrects a mistake is not counted out (see [`HALF_OPEN_PER_ADDRESS`]).
pub const REFUSED_LIFETIME: Duration = Duration::from_secs(4);
/// How often the cookie secret is replaced; the one before it is still accepted.
pub const COOKIE_SECRET_LIFETIME: Duration = Duration::from_mins(2);
/// An initiator that goes within this time, with neither a message nor a packet before, may have refused our proof, which it sees
/// last: a round trip, and time to judge it.
pub const DELETED_AT_ONCE: Duration = Duration::from_secs(3);
/// How long a replaced Child SA still receives after its end was agreed, for packets on the way.
pub const RETIRE_GRACE: Duration = Duration::from_secs(5);
/// How long at least the end of a replaced SA is left to the peer whose duty it is; then we delete it ourselves.
/// Longer than anyone's retransmissions: until then the peer may still miss our answer.
pub const REDUNDANT_SA_WAIT: Duration = Duration::from_secs(200);
/// How long a deferred exchange (`TEMPORARY_FAILURE`) waits at least; jitter doubles it at most.
pub const TEMPORARY_FAILURE_WAIT: Duration = Duration::from_secs(2);
/// `TEMPORARY_FAILURE` answers to one task before the tunnel is taken for out of step (RFC 7296 §2.25).
pub const TEMPORARY_FAILURES: u32 = 30;
/// A peer may set up or rekey at most this many Child SAs or IKE SAs of one tunnel within [`REKEY_PERIOD`].
pub const REKEYS_PER_PERIOD: u32 = 120;
/// See [`REKEYS_PER_PERIOD`].
pub const REKEY_PERIOD: Duration = Duration::from_mins(1);
/// Requests of one tunnel's peer, of whatever kind, that are answered within [`REQUEST_PERIOD`]: an honest one needs a few in a
/// minute, or a burst of one for each of its Child SAs.
pub const REQUESTS_PER_PERIOD: u32 = 1_000;
/// See [`REQUESTS_PER_PERIOD`].
pub const REQUEST_PERIOD: Duration = Duration::from_secs(10);
/// A refused rekey is tried again after this long at least, and twice that at most.
pub const REKEY_RETRY: Duration = Duration::from_secs(10);
/// How long at least a tunnel has stood when the first rekey of its Child SA shows whether the peer agrees to a key exchange
/// (perfect forward secrecy); half as long again at most.
pub const PFS_PROBE_WAIT: Duration = Duration::from_secs(20);
/// How often a peer that does not answer is asked that.
pub const PFS_PROBES: u32 = 2;
/// How long at least a peer that set up a tunnel is given to set up its Child SAs before we ask for those that are
/// missing; twice that at most.
pub const CHILDREN_WAIT: Duration = Duration::from_secs(10);
/// Seconds by which another machine's clock may be wrong when it says how fresh its revocation answer is.
pub const REVOCATION_CLOCK_SKEW: u64 = 300;
/// The clock of a machine that says less is wrong: 2023-01-01, seconds since 1970 UTC.
pub const CLOCK_FLOOR: u64 = 1_672_531_200;
/// What is dated this many seconds ahead or less is rather a sign of a wrong clock than of a wrong date.
pub const CLOCK_SUSPECT: u64 = 24 * 3_600;
/// How often a peer whose tunnel stands is judged again at least, give or take a tenth.
pub const REVIEW: Duration = Duration::from_hours(1);
/// How soon at the earliest, if an answer about revocation is that short-lived.
pub const REVIEW_LEAST: Duration = Duration::from_mins(1);
/// How soon if nobody could be asked, give or take a tenth; after an order to ask anew at first after [`REVIEW_LEAST`], then each
/// time after as long as the order is ago.
pub const REVIEW_RETRY: Duration = Duration::from_mins(10);
/// For each tunnel of the endpoint the reviews of a new configuration, and those that are ordered, are spread over this much
/// more time, up to [`REVIEW_SPREAD_MOST`].
pub const REVIEW_SPREAD: Duration = Duration::from_millis(10);
/// See [`REVIEW_SPREAD`].
pub const REVIEW_SPREAD_MOST: Duration = Duration::from_mins(5);
/// Seconds after it was made for which a revocation answer that the peer sends along counts without anybody being asked.
pub const STAPLE_FRESH: u64 = 3_600;
/// Seconds after the last answer's end for which a standing tunnel outlives the silence of all whom the strict policy would
/// ask.
pub const REVOCATION_GRACE: u64 = 6 * 3_600;
/// Seconds by which the wall clock may part from the boot clock between two reviews before it is doubted.
pub const CLOCK_STEP: u64 = 300;
/// How long a wall clock that was set is not believed against a standing tunnel.
pub const CLOCK_DOUBT: Duration = Duration::from_hours(1);
/// How long after an answer about our own certificate the next is fetched, at least and at most; in between, once half of
/// its validity has passed. After a failure the wait begins with the shorter and doubles.
pub const STAPLE_REFRESH: [Duration; 2] = [Duration::from_mins(1), Duration::from_hours(1)];
/// Seconds for which an OCSP answer without an end of its own is believed.
pub const OCSP_LIFETIME: u64 = 24 * 3_600;
