//! What each tunnel would offer and accept, spelled out: profiles and defaults are names for this.

use std::fmt::{Display, Write};

use sekisho_ike::config::Connection;
use serde::Serialize;

use crate::config::Config;

/// One tunnel.
#[derive(Serialize)]
pub(super) struct Explained {
    name: String,
    profile: String,
    /// Preferred first.
    ike_proposals: Vec<String>,
    /// Where the peer's address comes from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pools: Vec<String>,
    /// Families of the addresses that we ask the peer for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    internal_address: Vec<String>,
    children: Vec<Child>,
}

#[derive(Serialize)]
struct Child {
    name: String,
    /// Preferred first.
    esp_proposals: Vec<String>,
}

pub(super) fn explain(config: &Config) -> Vec<Explained> {
    config.connections.iter().map(|connection| tunnel(config, connection)).collect()
}

fn tunnel(config: &Config, connection: &Connection) -> Explained {
    let child = |child: &sekisho_ike::config::Child| Child {
        name: child.name.to_string(),
        esp_proposals: texts(&child.proposals),
    };
    Explained {
        name: connection.name.to_string(),
        profile: config.profiles.get(&connection.name).copied().unwrap_or_default().to_string(),
        ike_proposals: texts(&connection.proposals),
        pools: texts(&connection.pools),
        internal_address: families(connection),
        children: connection.children.iter().map(child).collect(),
    }
}

fn families(connection: &Connection) -> Vec<String> {
    let asked = connection.internal_address;
    let families = [("ipv4", asked.ipv4), ("ipv6", asked.ipv6)].into_iter();
    families.filter(|(_, asked)| *asked).map(|(family, _)| family.to_owned()).collect()
}

fn texts<T: Display>(proposals: &[T]) -> Vec<String> {
    proposals.iter().map(T::to_string).collect()
}

impl Display for Explained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("tunnel {}, profile {}", self.name, self.profile);
        let mut list = |title: &str, proposals: &[String]| {
            write!(text, "\n  {title}")?;
            (1..).zip(proposals).try_for_each(|(number, proposal)| write!(text, "\n    {number}. {proposal}"))
        };
        list("ike_proposals, preferred first", &self.ike_proposals)?;
        for (title, all) in [
            ("the peer's address is from the first of these pools that has one", &self.pools),
            ("we ask the peer for an address", &self.internal_address),
        ] {
            if !all.is_empty() {
                list(title, all)?;
            }
        }
        for Child { name, esp_proposals } in &self.children {
            list(&format!("esp_proposals of child {name}, preferred first"), esp_proposals)?;
        }
        f.write_str(&text)
    }
}
