//! The command line `sekisho`: one file a command. Exit code 0; 1 if refused or failed, with the reason on standard
//! error; 2 for wrong usage.

mod awaited;
mod blocked;
mod check;
mod down;
mod events;
mod explain;
mod keygen;
mod output;
mod rekey;
mod reload;
mod sas;
mod silence;
mod status;
mod target;
mod unprotect;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::api::{Client, Request};
use crate::demo;
use output::{Failed, Output};

/// Where the daemon makes its socket unless its configuration says otherwise.
const SOCKET: &str = "/run/sekisho/control.sock";
const SOCKET_VARIABLE: &str = "SEKISHO_SOCKET";

#[derive(Debug, Parser)]
#[command(
    name = "sekisho",
    version,
    about = "Looks at and steers sekishod, the IKEv2/IPsec VPN daemon",
    after_help = "Examples:\n  sekisho status                      every tunnel, and why one is down\n  sekisho explain centre\n  sekisho check /etc/sekisho/sekisho.toml\n  sekisho up centre && sekisho sas\n  sekisho events --follow --json | jq .\n\nExit code: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage."
)]
struct Cli {
    /// The daemon's control socket [default: `$SEKISHO_SOCKET`, else /run/sekisho/control.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON with stable field names
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every configured tunnel: its state, peer, suite, age, traffic; why it is down and when the next try is
    #[command(after_help = status::EXAMPLES)]
    Status,
    /// Why a tunnel is down: who refused what, both ends compared, and what to change
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// The SAs that stand, with SPIs, selectors and lifetimes
    Sas,
    /// Set a tunnel up and wait until it stands
    #[command(after_help = up::EXAMPLES)]
    Up(up::Args),
    /// Delete a tunnel's SAs and refuse the peer until `up` or a restart; its networks stay blocked
    #[command(after_help = down::EXAMPLES)]
    Down(down::Args),
    /// Replace a tunnel's keys now, without losing a packet
    #[command(after_help = rekey::EXAMPLES)]
    Rekey(rekey::Args),
    /// Read the configuration again; what did not change keeps its SAs
    #[command(after_help = reload::EXAMPLES)]
    Reload,
    /// Judge a configuration, and whether this machine is fit for it; nothing is started or changed
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    /// What happened: the recent records, and those to come
    #[command(after_help = events::EXAMPLES)]
    Events(events::Args),
    /// Make a key
    #[command(after_help = keygen::EXAMPLES)]
    Keygen(keygen::Args),
    /// Take away the routes that block networks: what no tunnel covers any more or, while no daemon runs, everything; from
    /// then on that traffic leaves in clear
    #[command(after_help = unprotect::EXAMPLES)]
    Unprotect(unprotect::Args),
    /// Show a whole tunnel on this machine: two gateways, real traffic, rekeys, and the proof that nothing leaks
    Demo(demo::Args),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let Cli { socket, json, command } = Cli::parse();
    let daemon = Daemon(socket.unwrap_or_else(default_socket));
    let output = Output::new(json);
    let done = match command {
        Command::Status => status::run(&daemon, &output),
        Command::Explain(args) => explain::run(&daemon, &output, &args),
        Command::Sas => sas::run(&daemon, &output),
        Command::Up(args) => up::run(&daemon, &output, &args),
        Command::Down(args) => down::run(&daemon, &output, &args),
        Command::Rekey(args) => rekey::run(&daemon, &output, &args),
        Command::Reload => reload::run(&daemon, &output),
        Command::Check(args) => check::run(&daemon, &output, &args),
        Command::Events(args) => events::run(&daemon, &output, &args),
        Command::Keygen(args) => keygen::run(&output, &args),
        Command::Unprotect(args) => unprotect::run(&daemon, &output, &args),
        Command::Demo(args) => return demo::run(&demo::Args { json, ..args }),
    };
    output.finish(done)
}

fn default_socket() -> PathBuf {
    std::env::var_os(SOCKET_VARIABLE)
        .filter(|path| !path.is_empty())
        .map_or_else(|| SOCKET.into(), PathBuf::from)
}

/// The daemon, as far as a command sees it.
struct Daemon(PathBuf);

impl Daemon {
    fn connect(&self) -> Result<Client, Failed> {
        Ok(Client::connect(&self.0)?)
    }

    /// Asks, and takes a refusal for a failure.
    fn ask(&self, request: &Request) -> Result<serde_json::Value, Failed> {
        Ok(self.connect()?.ask(request)?.into_data()?)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
