//! The rule that leads to our table, in both address families.

use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Error, Netlink, ROUTE_PROTOCOL, Settings};

impl Settings {
    /// "not fwmark MARK lookup TABLE".
    pub(super) fn rule(self, family: AddressFamily) -> RuleMessage {
        let mut rule = RuleMessage::default();
        rule.header.family = family;
        rule.header.action = RuleAction::ToTable;
        rule.header.flags = RuleFlags::Invert;
        rule.attributes = vec![
            RuleAttribute::Priority(self.priority),
            RuleAttribute::FwMark(self.mark),
            RuleAttribute::FwMask(u32::MAX),
            RuleAttribute::Table(self.table),
            RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)),
        ];
        rule
    }
}

/// Whether a rule is ours, of this configuration or of another.
pub(super) fn is_ours(rule: &RuleMessage) -> bool {
    rule.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)))
}

impl Netlink {
    pub(super) async fn ensure_rule(&self, family: AddressFamily) -> Result<(), Error> {
        let rule = self.settings.rule(family);
        let what = format!("add the routing rule of priority {}", self.settings.priority);
        self.ensure(RouteNetlinkMessage::NewRule(rule)).await.map_err(Error::refused(what))
    }

    /// Our rules, those of another configuration included.
    pub(super) async fn our_rules(&self, family: AddressFamily) -> Result<Vec<RuleMessage>, Error> {
        let mut filter = RuleMessage::default();
        filter.header.family = family;
        let answers = self.dump(RouteNetlinkMessage::GetRule(filter)).await;
        let answers = answers.map_err(Error::refused("list the routing rules"))?;
        let rules = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRule(rule) if is_ours(&rule) => Some(rule),
            _ => None,
        });
        Ok(rules.collect())
    }

    pub(super) async fn remove_rule(&self, rule: RuleMessage) -> Result<(), Error> {
        let removed = self.remove(RouteNetlinkMessage::DelRule(rule)).await;
        removed.map_err(Error::refused("remove a routing rule of ours"))
    }

    /// Removes our rules of other priorities, marks and tables than the present ones.
    pub(super) async fn remove_other_rules(&self, family: AddressFamily) -> Result<(), Error> {
        let present = self.settings.rule(family).attributes;
        for rule in self.our_rules(family).await? {
            if !present.iter().all(|attribute| rule.attributes.contains(attribute)) {
                self.remove_rule(rule).await?;
            }
        }
        Ok(())
    }
}
