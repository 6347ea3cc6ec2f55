//! `[daemon]`: what holds for the daemon as a whole.

use std::path::PathBuf;

use toml::Spanned;

use super::document::{Judge, Section};
use super::limits::{self, Bounds};
use super::{Daemon, LogLevel};

/// The section, judged; the defaults stand in for what is wrong, so that the rest of the file is judged too.
pub(super) fn read(judge: &mut Judge<'_>, mut section: Section<'_>) -> Daemon {
    let or = Daemon::default();
    let (ike_port, nat_port) = ports(judge, &mut section, &or);
    let (cookie_threshold, half_open_max) = half_open(judge, &mut section);
    let (copy_dscp, dscp) = dscp(judge, &mut section, &or);
    let daemon = Daemon {
        control_socket: socket(judge, &mut section, or.control_socket),
        control_group: section.text(judge, "control_group").map_or(or.control_group, Spanned::into_inner),
        state_dir: absolute(judge, &mut section, "state_dir", or.state_dir),
        sa_log: absolute(judge, &mut section, "sa_log", or.sa_log),
        log: log_level(judge, &mut section).unwrap_or(or.log),
        interface: interface(judge, &mut section).unwrap_or(or.interface),
        mtu: section.number(judge, "mtu", limits::MTU).map(Spanned::into_inner),
        route_table: route_table(judge, &mut section),
        rule_priority: bounded(judge, &mut section, "rule_priority", &limits::RULE_PRIORITY),
        mark: section.number(judge, "mark", (1, u32::MAX)).map_or(or.mark, Spanned::into_inner),
        ike_port,
        nat_port,
        cookie_threshold,
        half_open_max,
        replay_window: bounded(judge, &mut section, "replay_window", &limits::REPLAY_WINDOW),
        workers: workers(judge, &mut section),
        copy_dscp,
        dscp,
        ecn: section.boolean(judge, "ecn").unwrap_or(or.ecn),
        clamp_mss: section.boolean(judge, "clamp_mss").unwrap_or(or.clamp_mss),
        refuse_clear_text: section.boolean(judge, "refuse_clear_text").unwrap_or(or.refuse_clear_text),
        offloads: offloads(judge, &mut section).unwrap_or(or.offloads),
    };
    section.finish(judge);
    daemon
}

/// `ike_port` and `nat_port`.
fn ports(judge: &mut Judge<'_>, section: &mut Section<'_>, or: &Daemon) -> (u16, u16) {
    let ike = section.number(judge, "ike_port", (1, u16::MAX));
    let nat = section.number(judge, "nat_port", (1, u16::MAX));
    let span = nat.as_ref().or(ike.as_ref()).map_or_else(|| section.span.clone(), Spanned::span);
    let ports = (ike.map_or(or.ike_port, Spanned::into_inner), nat.map_or(or.nat_port, Spanned::into_inner));
    if ports.0 == ports.1 {
        let message = format!("`ike_port` and `nat_port` are both {}", ports.0);
        judge.error(&span, message, "give them different numbers; the registered ones are 500 and 4500");
    }
    ports
}

/// `cookie_threshold` and `half_open_max`.
fn half_open(judge: &mut Judge<'_>, section: &mut Section<'_>) -> (u32, u32) {
    let (cookies, all) = (&limits::COOKIE_THRESHOLD, &limits::HALF_OPEN_MAX);
    let threshold = section.number(judge, "cookie_threshold", (cookies.floor, cookies.ceiling));
    let most = section.number(judge, "half_open_max", (all.floor, all.ceiling));
    let span = threshold.as_ref().or(most.as_ref()).map_or_else(|| section.span.clone(), Spanned::span);
    let threshold = threshold.map_or(cookies.default, Spanned::into_inner);
    let most = most.map_or(all.default, Spanned::into_inner);
    if threshold > most {
        let message = format!("`cookie_threshold` is {threshold} and `half_open_max` {most}");
        judge.error(
            &span,
            message,
            "beyond `half_open_max` nobody is asked for a cookie: choose a smaller threshold",
        );
    }
    (threshold, most)
}

/// `copy_dscp` and `dscp`: who names one wants it.
fn dscp(judge: &mut Judge<'_>, section: &mut Section<'_>, or: &Daemon) -> (bool, u8) {
    let (copied, dscp) = (section.boolean(judge, "copy_dscp"), section.number(judge, "dscp", limits::DSCP));
    if let (Some(true), Some(dscp)) = (copied, &dscp) {
        let message = "`copy_dscp` is true, so `dscp` would be of no effect";
        judge.error(
            &dscp.span(),
            message,
            "leave one of them out: every packet has its own, or all have this one",
        );
    }
    let copy = copied.unwrap_or(or.copy_dscp && dscp.is_none());
    (copy, dscp.map_or(or.dscp, Spanned::into_inner))
}

fn bounded(judge: &mut Judge<'_>, section: &mut Section<'_>, key: &'static str, bounds: &Bounds<u32>) -> u32 {
    section.number(judge, key, (bounds.floor, bounds.ceiling)).map_or(bounds.default, Spanned::into_inner)
}

/// `"auto"`, or how many.
fn workers(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<u8> {
    const KEY: &str = "workers";
    if !section.is_text(KEY) {
        return section.number(judge, KEY, limits::WORKERS).map(Spanned::into_inner);
    }
    let text = section.text(judge, KEY)?;
    if text.get_ref() != "auto" {
        let message = format!("`{KEY}` cannot be `{}`", text.get_ref().escape_debug());
        let (least, most) = limits::WORKERS;
        judge.error(&text.span(), message, format!("write \"auto\", or a number from {least} to {most}"));
    }
    None
}

fn absolute(judge: &mut Judge<'_>, section: &mut Section<'_>, key: &'static str, or: PathBuf) -> PathBuf {
    let Some(text) = section.text(judge, key) else { return or };
    if !text.get_ref().starts_with('/') || text.get_ref().contains('\0') {
        let help = format!("write the whole path from the root, such as \"{}\"", or.display());
        judge.error(&text.span(), format!("`{key}` is no absolute path"), help);
    }
    text.into_inner().into()
}

fn socket(judge: &mut Judge<'_>, section: &mut Section<'_>, or: PathBuf) -> PathBuf {
    let key = "control_socket";
    let span = section.value_span(key);
    let path = absolute(judge, section, key, or);
    if path.as_os_str().len() > limits::SOCKET_PATH_BYTES {
        let help = format!("a socket's path may have {} bytes", limits::SOCKET_PATH_BYTES);
        judge.error(&span, format!("`{key}` is too long"), help);
    }
    path
}

fn log_level(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<LogLevel> {
    let text = section.text(judge, "log")?;
    let level =
        text.get_ref().parse().map_err(|()| format!("`{}` is no log level", text.get_ref().escape_debug()));
    judge.ok(level, &text.span(), "allowed are error, warn, info, debug, trace")
}

fn offloads(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<bool> {
    let text = section.text(judge, "offloads")?;
    let asked = match text.get_ref().as_str() {
        "auto" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("`{}` is no setting of `offloads`", other.escape_debug())),
    };
    judge.ok(asked, &text.span(), "allowed are auto (as far as the kernel can) and off (packet by packet)")
}

fn interface(judge: &mut Judge<'_>, section: &mut Section<'_>) -> Option<String> {
    let text = section.text(judge, "interface")?;
    let name = text.get_ref();
    let most = limits::INTERFACE_NAME_BYTES;
    let good = (1..=most).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && ![".", "..", "lo", "all", "default"].contains(&name.as_str());
    if !good {
        let message = format!("`{}` cannot be the name of our interface", name.escape_debug());
        let help = format!(
            "letters, digits, -, _ and . are allowed, at most {most} of them; not lo, all or default"
        );
        judge.error(&text.span(), message, help);
    }
    good.then(|| text.into_inner())
}

fn route_table(judge: &mut Judge<'_>, section: &mut Section<'_>) -> u32 {
    let bounds = &limits::ROUTE_TABLE;
    let Some(table) = section.number(judge, "route_table", (bounds.floor, bounds.ceiling)) else {
        return bounds.default;
    };
    if limits::ROUTE_TABLES_OF_THE_KERNEL.contains(table.get_ref()) {
        let message = format!("route table {} is one of the kernel's own", table.get_ref());
        judge.error(
            &table.span(),
            message,
            "protected networks need a table of their own: choose another number",
        );
    }
    table.into_inner()
}
