//! Kontor: catalogue, stock and reservations for a seller with many places to sell from.
//!
//! One binary. `kontor serve` runs a site; the other commands look at one, running or not.

mod commands;
mod config;
mod demo;
mod import;
mod limits;
mod master_key;
mod output;
mod peers;
mod print;
mod progress;
mod reference_settings;
mod sample;
mod telemetry;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::print::Style;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Catalogue, stock and reservations for a seller with many places to sell from.
#[derive(Parser)]
#[command(name = "kontor", version, max_term_width = 100)]
struct Cli {
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Run a site: HTTP API, pages, journal and tables.
    Serve(config::ServeArgs),
    /// Say why a SKU can or cannot be sold, with the arithmetic.
    Explain(commands::explain::Args),
    /// Check every invariant of a data directory, with figures.
    Check(commands::check::Args),
    /// Read or verify the journal of a data directory.
    #[command(subcommand)]
    Journal(commands::journal::Command),
    /// Copy a data directory, also of a running site.
    Backup(commands::backup::BackupArgs),
    /// Make a data directory from a backup; it starts as a new term.
    Restore(commands::backup::RestoreArgs),
    /// Copy the keys of personal data, or bring them back. They are in no other backup.
    #[command(subcommand)]
    Keys(commands::keys::Command),
    /// Put files of products and stock into a site, with a report.
    #[command(subcommand)]
    Import(commands::import::Command),
    /// List the imports of a site.
    Jobs(commands::jobs::Args),
    /// Write everything into files that can be imported.
    #[command(subcommand)]
    Export(commands::export::Command),
    /// Run two regions and four stores in one process, with links that can be cut and healed.
    Demo(commands::demo::Args),
    /// Make up a catalogue of any size from a seed.
    DemoData(commands::demo_data::Args),
    /// Load a running site and print rates and latencies.
    Bench(commands::bench::Args),
    /// List the sites whose journals a site reads, or let one in.
    #[command(subcommand)]
    Site(commands::site::Command),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(commands::config::Command),
    /// Call the API of a running site.
    #[command(subcommand)]
    Api(commands::api::Command),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let style = if cli.json { Style::Json } else { Style::Table };
    let result = match cli.command {
        Commands::Serve(args) => commands::serve::run(args),
        Commands::Explain(args) => commands::explain::run(&args, style),
        Commands::Check(args) => commands::check::run(&args, style),
        Commands::Journal(command) => commands::journal::run(&command, style),
        Commands::Backup(args) => commands::backup::backup(&args, style),
        Commands::Restore(args) => commands::backup::restore(&args, style),
        Commands::Keys(command) => commands::keys::run(&command, style),
        Commands::Import(command) => commands::import::run(command, style),
        Commands::Jobs(args) => commands::jobs::run(&args, style),
        Commands::Export(command) => commands::export::run(command, style),
        Commands::Demo(args) => commands::demo::run(args, style),
        Commands::DemoData(args) => commands::demo_data::run(&args),
        Commands::Bench(args) => commands::bench::run(&args, style),
        Commands::Site(command) => commands::site::run(&command, style),
        Commands::Config(command) => commands::config::run(command, style),
        Commands::Api(command) => commands::api::run(&command, style),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            print::error(&error, style);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
