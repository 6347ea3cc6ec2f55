//! The ends of certificates: told of in good time, once a day each.

use std::collections::BTreeMap;
use std::time::Duration;

use sekisho_ike::config::{Connection, LocalAuth};
use sekisho_ike::event::ConnectionStatus;
use sekisho_ike::pki::Certificate;
use sekisho_ike::{Instant, Now};

use crate::config::limits::EXPIRY_WARNING;
use crate::telemetry::{Fact, Timestamp};

/// How often all certificates are looked at.
const LOOK: Duration = Duration::from_hours(1);
/// How often each is told of.
const TELL: Duration = Duration::from_hours(24);
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Which certificates were told of, and when.
#[derive(Debug)]
pub(super) struct Expiry {
    next: Instant,
    told: BTreeMap<Seen, Instant>,
}

/// A certificate on one of the sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    side: &'static str,
    fingerprint: [u8; 32],
}

/// One that ends soon, and who needs it.
struct Ending {
    subject: String,
    not_after: u64,
    tunnels: Vec<String>,
}

impl Expiry {
    /// Looks at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, told: BTreeMap::new() }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// What is to be told of the certificates of these connections.
    pub(super) fn look(&mut self, now: Now, connections: &[ConnectionStatus]) -> Vec<Fact> {
        self.next = now.boot + LOOK;
        let endings = endings(now.wall, connections);
        // What was renewed or is no longer needed is forgotten.
        self.told.retain(|seen, _| endings.contains_key(seen));
        let mut facts = Vec::new();
        for (seen, ending) in endings {
            let again = self.told.get(&seen).is_none_or(|told| now.boot.since(*told) >= TELL);
            if again {
                self.told.insert(seen, now.boot);
                facts.push(ending.fact(seen.side, now.wall));
            }
        }
        facts
    }
}

fn endings(now: u64, connections: &[ConnectionStatus]) -> BTreeMap<Seen, Ending> {
    let mut endings = BTreeMap::<Seen, Ending>::new();
    let mut add = |side, certificate: &Certificate, not_after: u64, tunnel: String| {
        if not_after.saturating_sub(now) > EXPIRY_WARNING.as_secs() {
            return;
        }
        let seen = Seen { side, fingerprint: certificate.fingerprint() };
        let new = || Ending { subject: certificate.subject().to_string(), not_after, tunnels: Vec::new() };
        endings.entry(seen).or_insert_with(new).tunnels.push(tunnel);
    };
    for status in connections {
        let name = || status.connection.name.to_string();
        for certificate in chain(&status.connection) {
            add("local", certificate, certificate.not_after(), name());
        }
        // A connection may have many peers.
        for proof in status.tunnels.iter().map(|tunnel| &tunnel.ike_sa.remote_proof) {
            if let Some((certificate, not_after)) = proof.certificate.as_ref().zip(proof.not_after) {
                add("peer", certificate, not_after, name());
            }
        }
    }
    endings
}

impl Ending {
    fn fact(self, side: &str, now: u64) -> Fact {
        Fact::CertificateExpires {
            tunnels: self.tunnels.len(),
            tunnel: (self.tunnels.len() == 1).then(|| self.tunnels.concat()),
            side: side.to_owned(),
            subject: self.subject,
            expires: Timestamp::from_unix(self.not_after),
            days_left: days_left(self.not_after, now),
        }
    }
}

/// Our certificate and those that we send with it.
fn chain(connection: &Connection) -> &[Certificate] {
    match &connection.local_auth {
        LocalAuth::Signature(credential) => &credential.chain,
        LocalAuth::Psk(_) => &[],
    }
}

/// When the first of these expires.
pub(super) fn own(connection: &Connection) -> Option<u64> {
    chain(connection).iter().map(Certificate::not_after).min()
}

/// When the last of these begins to be valid, if that is yet to come: until then peers refuse us.
pub(super) fn begins(connection: &Connection, now: u64) -> Option<u64> {
    chain(connection).iter().map(Certificate::not_before).max().filter(|begins| *begins > now)
}

/// Whole days until a point in time; negative once it has passed. Both in seconds since 1970 UTC.
pub(super) fn days_left(at: u64, now: u64) -> i64 {
    at.cast_signed().saturating_sub(now.cast_signed()).div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use rcgen::{CertificateParams, KeyPair};
    use sekisho_ike::event::ConnectionState;

    use super::*;

    /// Two tunnels with a certificate that ends in so many days.
    fn connections(days: u64) -> Vec<ConnectionStatus> {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["clinic-17.example".to_owned()]).unwrap();
        params.not_after = (SystemTime::now() + Duration::from_hours(24 * days)).into();
        let certificate = params.self_signed(&key).unwrap();
        let pem =
            |label, der: &[u8]| pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap();
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("own.pem", pem("CERTIFICATE", certificate.der()));
        write("own.key", pem("PRIVATE KEY", &key.serialize_der()));
        let tunnel = |n: u8| {
            format!(
                "[tunnel.t{n}]\nremote_id = \"t{n}.example\"\ncertificate = \"own.pem\"\nprivate_key = \"own.key\"\npeer_certificates = [\"own.pem\"]\nlocal_networks = [\"10.17.0.0/24\"]\nremote_networks = [\"10.{n}.0.0/16\"]\n"
            )
        };
        write("c.toml", tunnel(1) + &tunnel(2));
        let config = crate::config::load(&directory.path().join("c.toml")).unwrap();
        let status = |connection| ConnectionStatus {
            connection,
            state: ConnectionState::Waiting,
            tunnels: Vec::new(),
            warnings: vec![],
            last_failure: None,
            failure_times: 0,
            failure_from: None,
            near_misses: Vec::new(),
            next_try: None,
            awaited: None,
            attempts: 0,
        };
        config.connections.into_iter().map(status).collect()
    }

    #[test]
    fn a_certificate_that_ends_soon_is_told_of_once_a_day_and_until_it_is_renewed() {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let at = |hours: u64| Now {
            boot: Instant::from_boot(Duration::from_hours(hours)),
            wall: wall + hours * 3600,
        };
        let (ending, good) = (connections(10), connections(100));
        let mut expiry = Expiry::new(at(0).boot);
        assert!(expiry.is_due(at(0).boot));
        let facts = expiry.look(at(0), &ending);
        let [Fact::CertificateExpires { tunnel: None, tunnels: 2, side, days_left, .. }] = facts.as_slice()
        else {
            panic!("{facts:?}")
        };
        assert!(side == "local" && (9..=10).contains(days_left), "{facts:?}");
        assert!(!expiry.is_due(at(0).boot) && expiry.is_due(at(1).boot));
        let told: Vec<u64> = (1..60).filter(|hour| !expiry.look(at(*hour), &ending).is_empty()).collect();
        assert_eq!(told, [24, 48]);
        assert_eq!(expiry.look(at(60), &good), []);
        assert_eq!(expiry.look(at(61), &ending).len(), 1, "it came back, which is news");
        let [Fact::CertificateExpires { days_left: -1, tunnel: Some(tunnel), .. }] =
            &expiry.look(at(24 * 10 + 1), &ending[..1])[..]
        else {
            panic!("it has expired")
        };
        assert_eq!(tunnel, "t1");
        assert!(own(&ending[0].connection).is_some_and(|end| end.abs_diff(wall + 10 * 86_400) < 60));
    }

    #[test]
    fn thirty_days_ahead_it_is_told_of_and_not_before() {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let now = Now { boot: Instant::from_boot(Duration::ZERO), wall };
        for (days, told) in [(29, 1), (31, 0)] {
            let facts = Expiry::new(now.boot).look(now, &connections(days));
            assert_eq!(facts.len(), told, "{days} days: {facts:?}");
        }
    }

    #[test]
    fn days_are_whole_and_those_past_are_negative() {
        let day = 86_400;
        let left = |at: u64, now: u64| days_left(at, now);
        assert_eq!([left(day, 0), left(day - 1, 0), left(5, 5)], [1, 0, 0]);
        assert_eq!([left(0, 1), left(0, day), left(0, day + 1)], [-1, -1, -2]);
    }
}
