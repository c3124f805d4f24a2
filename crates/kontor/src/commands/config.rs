//! `kontor config`: what is in force, and whether it is right.

use std::process::ExitCode;

use super::serve::payments;
use crate::config::{Config, ServeArgs};
use crate::print::{self, Style};
use crate::telemetry;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Say whether the settings are right.
    Check(ServeArgs),
    /// Print the settings in force, from defaults, file, environment and flags.
    Print(ServeArgs),
}

pub(crate) fn run(command: Command, style: Style) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(args) => {
            let config = Config::resolve(args)?;
            telemetry::filter(&config.log)?;
            payments(&config)?;
            match style {
                Style::Json => print::json(&serde_json::json!({ "ok": true })),
                Style::Table => print::line("the settings are right"),
            }
        }
        Command::Print(args) => {
            let config = Config::resolve(args)?;
            match style {
                Style::Json => print::json(&config),
                Style::Table => print::line(toml::to_string(&config)?.trim_end()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
