//! From a host name to pairs of addresses, off the caller's loop and in bounded time.

use std::net::SocketAddr;
use std::time::Duration;

use super::netlink::Netlink;

/// How long the system's resolver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// More addresses than this are not tried.
const MOST: usize = 16;

/// The pairs (our address, the peer's address) by which `host` can be reached, both with `port`, in the order of
/// the system's resolver (RFC 6724); or a sentence that says why there is none.
///
/// The system's own sockets carry no mark: a name that can only be resolved through a protected prefix stays
/// unresolved until that tunnel is up.
///
/// # Errors
/// The sentence, for the operator.
pub async fn resolve(
    netlink: &Netlink,
    host: &str,
    port: u16,
) -> Result<Vec<(SocketAddr, SocketAddr)>, String> {
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let found =
        found.map_err(|_| format!("the name `{host}` was not resolved within {} s", PATIENCE.as_secs()))?;
    let found = found.map_err(|error| format!("the name `{host}` could not be resolved: {error}"))?;
    let mut pairs: Vec<(SocketAddr, SocketAddr)> = Vec::new();
    let mut refusal = format!("the name `{host}` has no address");
    for remote in found.take(MOST) {
        let scope = match remote {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        match netlink.route(remote.ip(), scope).await {
            Ok(route) => {
                let pair = (SocketAddr::new(route.source, port), remote);
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
            Err(error) => refusal = error.to_string(),
        }
    }
    if pairs.is_empty() { Err(refusal) } else { Ok(pairs) }
}
