//! What is asked and answered: one JSON object a line each way.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::Diagnosis;

/// What a client asks, as `{"command":"up","tunnel":"centre"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Every configured tunnel; answered with a [`super::Status`].
    Status,
    /// The SAs that stand; answered with [`super::Sas`].
    Sas,
    /// Set a tunnel up and wait until it stands or failed; answered with its [`super::Tunnel`].
    Up {
        /// Its name.
        tunnel: String,
        /// Of one of its children; without it all that are ours to set up are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<String>,
        /// The longest wait, seconds; at most [`Request::MAX_WAIT`].
        #[serde(default = "default_wait")]
        timeout_s: u64,
    },
    /// Delete a tunnel's SAs, stop retrying and refuse the peer until `up`; answered with its [`super::Tunnel`].
    Down {
        /// Its name.
        tunnel: String,
        /// Of one of its children: only its Child SA is deleted, and what starts it may do so again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<String>,
    },
    /// Replace SAs now and wait until it is done or failed; answered with its [`super::Tunnel`].
    Rekey {
        /// Its name.
        tunnel: String,
        /// Of one of its children: only its Child SA is replaced, whatever `what` says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<String>,
        /// Which SAs.
        #[serde(default)]
        what: What,
        /// The longest wait, seconds; at most [`Request::MAX_WAIT`].
        #[serde(default = "default_wait")]
        timeout_s: u64,
    },
    /// Read the configuration again; answered with [`Reloaded`].
    Reload,
    /// Free networks that are blocked though no tunnel covers them any more; answered with [`Freed`].
    Unprotect {
        /// Which; empty: all.
        #[serde(default)]
        networks: Vec<IpNet>,
    },
    /// The recent records, one a line, without a [`Reply`] around them. The server answers this by itself.
    Events {
        /// Whether new ones follow until the client hangs up.
        #[serde(default)]
        follow: bool,
        /// Only those of this tunnel.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tunnel: Option<String>,
        /// Of the recent ones no more than so many, the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
}

impl Request {
    /// The longest wait that a client may ask for, seconds.
    pub const MAX_WAIT: u64 = 600;
    /// The wait of a client that does not say, seconds: longer than a whole retransmission schedule.
    pub const DEFAULT_WAIT: u64 = 30;
}

impl fmt::Display for Request {
    /// As on the command line: `rekey centre/records --child`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |tunnel: &str, child: &Option<String>| match child {
            Some(child) => format!("{tunnel}/{child}").escape_debug().to_string(),
            None => tunnel.escape_debug().to_string(),
        };
        match self {
            Self::Status => f.write_str("status"),
            Self::Sas => f.write_str("sas"),
            Self::Up { tunnel, child, .. } => write!(f, "up {}", of(tunnel, child)),
            Self::Down { tunnel, child } => write!(f, "down {}", of(tunnel, child)),
            Self::Rekey { tunnel, child, what, .. } => {
                let what = match what {
                    What::Ike => " --ike",
                    What::Child => " --child",
                    What::Both => "",
                };
                write!(f, "rekey {}{what}", of(tunnel, child))
            }
            Self::Reload => f.write_str("reload"),
            Self::Unprotect { networks } if networks.is_empty() => f.write_str("unprotect --stale"),
            Self::Unprotect { networks } => {
                f.write_str("unprotect")?;
                networks.iter().try_for_each(|network| write!(f, " {network}"))
            }
            Self::Events { .. } => f.write_str("events"),
        }
    }
}

fn default_wait() -> u64 {
    Request::DEFAULT_WAIT
}

/// Which SAs of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The IKE SA.
    Ike,
    /// The Child SAs.
    Child,
    /// First the Child SAs, then the IKE SA.
    #[default]
    Both,
}

/// The answer: `{"ok":true,"data":…}` or `{"ok":false,"error":"…","diagnosis":…}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Wire")]
pub enum Reply {
    /// Done; what was asked for.
    Done(Value),
    /// Refused or failed.
    Failed(Box<Failure>),
}

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// One sentence for the operator.
    pub error: String,
    /// The negotiation that failed, if one did.
    pub diagnosis: Option<Diagnosis>,
    /// What is wrong with the configuration, if that is why.
    pub problems: Vec<Problem>,
}

impl Failure {
    /// A sentence, and nothing behind it.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), diagnosis: None, problems: Vec::new() }
    }
}

/// What is wrong with a configuration, or deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line, from 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, in a line.
    pub message: String,
    /// What is allowed or what to do.
    pub help: String,
}

impl Reply {
    /// Success with the data given.
    pub fn done(data: &impl Serialize) -> Self {
        match serde_json::to_value(data) {
            Ok(value) => Self::Done(value),
            Err(error) => Self::failed(format!("the answer cannot be written as JSON: {error}")),
        }
    }

    /// Failure without a negotiation behind it.
    pub fn failed(error: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failure::new(error)))
    }

    /// The data as the type expected.
    ///
    /// # Errors
    /// It was refused, or is of another type.
    pub fn into_data<T: DeserializeOwned>(self) -> Result<T, Box<Failure>> {
        match self {
            Self::Done(value) => serde_json::from_value(value).map_err(|error| {
                let error = format!("the daemon's answer is not understood (another version?): {error}");
                Box::new(Failure::new(error))
            }),
            Self::Failed(failure) => Err(failure),
        }
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Done(data) => {
                let mut reply = serializer.serialize_struct("Reply", 2)?;
                reply.serialize_field("ok", &true)?;
                reply.serialize_field("data", data)?;
                reply.end()
            }
            Self::Failed(failure) => {
                let Failure { error, diagnosis, problems } = &**failure;
                let mut reply = serializer.serialize_struct("Reply", 4)?;
                reply.serialize_field("ok", &false)?;
                reply.serialize_field("error", error)?;
                reply.serialize_field("diagnosis", diagnosis)?;
                if !problems.is_empty() {
                    reply.serialize_field("problems", problems)?;
                }
                reply.end()
            }
        }
    }
}

/// A [`Reply`] as it is read, before it is known to make sense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    ok: bool,
    #[serde(default)]
    data: Value,
    error: Option<String>,
    diagnosis: Option<Diagnosis>,
    #[serde(default)]
    problems: Vec<Problem>,
}

impl TryFrom<Wire> for Reply {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        match wire {
            Wire { ok: true, data, error: None, diagnosis: None, problems } if problems.is_empty() => {
                Ok(Self::Done(data))
            }
            Wire { ok: false, data: Value::Null, error: Some(error), diagnosis, problems } => {
                Ok(Self::Failed(Box::new(Failure { error, diagnosis, problems })))
            }
            _ => Err("neither an answer nor a refusal"),
        }
    }
}

/// What a reload changed, by tunnel name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// New.
    pub added: Vec<String>,
    /// Changed, so set up anew.
    pub changed: Vec<String>,
    /// With a new certificate or key of ours: their SAs go on, what does not stand is tried at once.
    #[serde(default)]
    pub renewed: Vec<String>,
    /// With other certificates or revocation lists to believe: their SAs go on if their peers pass by these.
    #[serde(default)]
    pub reviewed: Vec<String>,
    /// Those of whose peers' certificates it is asked anew whether they were revoked.
    #[serde(default)]
    pub asked_anew: Vec<String>,
    /// Gone, so deleted.
    pub removed: Vec<String>,
    /// As before: their SAs go on.
    pub unchanged: Vec<String>,
    /// Settings of `[daemon]` that take effect at the next start only.
    #[serde(default)]
    pub restart_needed: Vec<String>,
    /// Settings of `[daemon]` that changed and hold for SAs set up from now on.
    #[serde(default)]
    pub from_next_sa: Vec<String>,
    /// What is allowed but deserves a second look.
    pub warnings: Vec<String>,
    /// Networks that no tunnel covers any more and that stay blocked until `sekisho unprotect`.
    #[serde(default)]
    pub stale: Vec<IpNet>,
    /// Of these, those that lie in the local networks of tunnels, by tunnel name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blocked_local: BTreeMap<String, Vec<IpNet>>,
}

/// What `unprotect` freed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// Their traffic leaves in clear from now on.
    pub prefixes: Vec<IpNet>,
}
