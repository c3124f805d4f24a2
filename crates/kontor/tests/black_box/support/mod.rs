//! What the stories share: a server to start and kill, a client, a shop with stock, and a ledger of
//! what was acknowledged.

pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod shop;
pub(crate) mod tools;

use std::io::Write as _;
use std::time::Duration;

/// No answer, no exit and no start takes this long unless something hangs, also on a busy machine.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// Whether the long forms are asked for.
pub(crate) fn prove() -> bool {
    std::env::var("KONTOR_PROVE").is_ok_and(|value| value == "1")
}

/// Tells the person who runs the tests what happened, past the test runner's capture of output.
pub(crate) fn say(story: &str, what: &str) {
    // Not `eprintln`: its output is hidden for tests that pass, and this is for those.
    writeln!(std::io::stderr(), "{story}: {what}").expect("standard error is open");
}

/// Says that this machine cannot tell a story, and why.
pub(crate) fn left_out(story: &str, why: &str) {
    say(story, &format!("left out: {why}"));
}
