//! `kontor api`: the API from the command line, with the key from the environment.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Target;
use crate::print::{self, Style};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Read a path: kontor api get /api/v1/stock/SKU-001
    Get {
        /// The path; /api/v1 is put before it if it is missing
        path: String,
        #[command(flatten)]
        target: Target,
    },
    /// Post JSON to a path: kontor api post /stock/receive '{"sku": …}'
    Post {
        /// The path; /api/v1 is put before it if it is missing
        path: String,
        /// The JSON, or - to read it from standard input
        #[arg(default_value = "{}", value_name = "JSON")]
        body: String,
        /// The idempotency key [default: a new one, printed on standard error]
        #[arg(long)]
        key_of_request: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

pub(crate) fn run(command: &Command, style: Style) -> anyhow::Result<ExitCode> {
    let reply = match command {
        Command::Get { path, target } => {
            let client = target.client()?;
            super::block_on(async { Ok(client.get(&full(path)).await?) })?
        }
        Command::Post { path, body, key_of_request, target } => {
            let client = target.client()?;
            let body = if body == "-" { stdin()? } else { body.clone() };
            let key = key_of_request.clone().unwrap_or_else(fresh_key);
            if key_of_request.is_none() && style == Style::Table {
                print::note(format!("idempotency key: {key}"));
            }
            super::block_on(async { Ok(client.post(&full(path), Some(&key), body).await?) })?
        }
    };
    match serde_json::from_slice::<serde_json::Value>(&reply.body) {
        Ok(body) if style == Style::Json => print::json_line(&body),
        Ok(body) => print::json(&body),
        Err(_) => print::line(String::from_utf8_lossy(&reply.body).trim_end()),
    }
    if reply.status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    if style == Style::Table {
        print::note(format!("kontor: the site answered {}", reply.status));
    }
    Ok(ExitCode::FAILURE)
}

fn full(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let outside = ["api/", "livez", "readyz", "health", "metrics", "docs"];
    if outside.iter().any(|known| path.starts_with(known)) { format!("/{path}") } else { format!("/api/v1/{path}") }
}

fn stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input could not be read")?;
    Ok(text)
}

fn fresh_key() -> String {
    uuid::Uuid::from_bytes(kontor_server::fresh_uuid()).simple().to_string()
}
