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
        children: connection.children.iter().map(child).collect(),
    }
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
        for Child { name, esp_proposals } in &self.children {
            list(&format!("esp_proposals of child {name}, preferred first"), esp_proposals)?;
        }
        f.write_str(&text)
    }
}
