//! Numbers for configured children, by which control and the data path speak of them; and what the data path is to do with
//! packets that have no SA.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sekisho_ike::config::{Child, Connection, Name};

use super::install::{ConfigError, Sides, reservation};
use crate::data::Reservation;

/// A configured child: its connection, and its own name.
type ChildName = (Name, Name);

/// The numbers. A child keeps its own for as long as it is configured; none is used for another.
#[derive(Debug, Default)]
pub(super) struct Policies {
    numbers: BTreeMap<ChildName, u64>,
    names: BTreeMap<u64, ChildName>,
    last: u64,
}

impl Policies {
    /// What is configured from now on, for the data path; `sides` says what a child may carry.
    ///
    /// # Errors
    /// If a child's selectors could never make an SA; nothing has changed then.
    pub(super) fn configure(
        &mut self,
        connections: &[Arc<Connection>],
        sides: impl Fn(&Connection, &Child) -> Sides,
    ) -> Result<Vec<Reservation>, ConfigError> {
        let all = || connections.iter().flat_map(|c| c.children.iter().map(move |child| (&**c, child)));
        let mut numbers = BTreeMap::new();
        let mut last = self.last;
        for (connection, child) in all() {
            let name = (connection.name.clone(), child.name.clone());
            let number = self.numbers.get(&name).copied().unwrap_or_else(|| {
                last += 1;
                last
            });
            numbers.insert(name, number);
        }
        let number = |connection: &Connection, child: &Child| {
            numbers.get(&(connection.name.clone(), child.name.clone())).copied().unwrap_or_default()
        };
        let mut seen = HashSet::new();
        let mut reserved = Vec::new();
        for (connection, child) in all() {
            let sides = sides(connection, child);
            // Peers that get their addresses of one pool reserve the same, which once is enough.
            if connection.pools.is_empty() || seen.insert(sides.clone()) {
                reserved.push(reservation(number(connection, child), connection, child, &sides)?);
            }
        }
        self.names = numbers.iter().map(|(name, number)| (*number, name.clone())).collect();
        (self.numbers, self.last) = (numbers, last);
        Ok(reserved)
    }

    /// The number of a child; 0, which is nobody's, if it is not configured.
    pub(super) fn number(&self, connection: &Name, child: &Name) -> u64 {
        self.numbers.get(&(connection.clone(), child.clone())).copied().unwrap_or_default()
    }

    /// The child of a number.
    pub(super) fn name(&self, number: u64) -> Option<&ChildName> {
        self.names.get(&number)
    }

    /// The children of a connection.
    pub(super) fn of(&self, connection: &Name) -> impl Iterator<Item = (u64, &Name)> {
        let from = self.numbers.range((connection.clone(), Name::from(""))..);
        from.take_while(move |((of, _), _)| of == connection).map(|((_, child), number)| (*number, child))
    }
}

#[cfg(test)]
mod tests {
    use sekisho_ike::Secret;
    use sekisho_ike::config::{LocalAuth, RemoteAuth, Start};
    use sekisho_ike::identity::RemoteId;

    use super::*;

    fn connection(name: &str, children: &[&str]) -> Arc<Connection> {
        let psk = || Secret::new(vec![7; 32]);
        let us = ("hub.example".parse().unwrap(), LocalAuth::Psk(psk()));
        let peer = (RemoteId::Exact("clinic.example".parse().unwrap()), RemoteAuth::Psk(psk()));
        let network = |text: &str| vec![text.parse().unwrap()];
        let child =
            |name: &&str| Child::new(Name::from(*name), network("10.0.0.0/8"), network("10.1.0.0/16"));
        Arc::new(Connection::new(Name::from(name), us, peer, children.iter().map(child).collect()))
    }

    fn sides(_: &Connection, child: &Child) -> Sides {
        (child.local.clone(), child.remote.clone())
    }

    #[test]
    fn a_child_keeps_its_number_and_nobody_gets_that_of_another() {
        let mut policies = Policies::default();
        policies.configure(&[connection("a", &["x", "y"]), connection("ab", &["x"])], sides).unwrap();
        let number = |policies: &Policies, of: &str, child: &str| policies.number(&of.into(), &child.into());
        assert_eq!(
            [number(&policies, "a", "x"), number(&policies, "a", "y"), number(&policies, "ab", "x")],
            [1, 2, 3]
        );
        policies.configure(&[connection("a", &["y", "z"]), connection("b", &["x"])], sides).unwrap();
        assert_eq!(
            [number(&policies, "a", "y"), number(&policies, "a", "z"), number(&policies, "b", "x")],
            [2, 4, 5]
        );
        assert_eq!(number(&policies, "a", "x"), 0);
        let of_a: Vec<_> = policies.of(&"a".into()).map(|(number, child)| (number, child.as_str())).collect();
        assert_eq!(of_a, [(2, "y"), (4, "z")]);
        assert_eq!((policies.name(1), policies.name(5)), (None, Some(&("b".into(), "x".into()))));
    }

    #[test]
    fn only_what_we_start_on_demand_waits_for_its_sa() {
        let mut policies = Policies::default();
        let mut on_demand = (*connection("a", &["x", "y"])).clone();
        on_demand.children[1].start = Start::OnDemand;
        for initiate in [true, false] {
            on_demand.initiate = initiate;
            let reserved = policies.configure(&[Arc::new(on_demand.clone())], sides).unwrap();
            let waits: Vec<bool> = reserved.iter().map(|reserved| reserved.on_demand).collect();
            assert_eq!(waits, [false, initiate]);
        }
    }
}
