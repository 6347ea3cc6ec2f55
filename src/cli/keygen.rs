//! `sekisho keygen`: make a key.

use data_encoding::BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::output::{Done, Failed, Output, print, print_json};

pub(super) const EXAMPLES: &str = "Examples:\n  (umask 077; sekisho keygen psk > /etc/sekisho/centre.psk)\n\nBring the same file to the peer on a safe way. strongSwan reads it as it is: secret = 0s…";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// A pre-shared key: `0s` and 32 random bytes in base64
    Psk,
}

pub(super) fn run(output: &Output, args: &Args) -> Done {
    let Kind::Psk = args.kind;
    let mut key = Zeroizing::new([0; 32]);
    let random = SystemRandom::new().fill(key.as_mut_slice());
    random.map_err(|_| Failed::because("the system gives no random numbers"))?;
    let text = Zeroizing::new(format!("0s{}", BASE64.encode(key.as_slice())));
    if output.json { print_json(&serde_json::json!({ "psk": *text })) } else { print(&text) }
}
