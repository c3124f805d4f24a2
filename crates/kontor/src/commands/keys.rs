//! `kontor keys`: a backup of the keys of persons, apart from that of the journal.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use kontor_storage::keys;

use crate::print::{self, Style};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Copy the keys of persons into one file; also of a running site. Without the master key nobody reads it.
    Backup {
        /// A new file for the copy; delete it after 30 days, or who was erased is not
        target: PathBuf,
        /// The data directory
        #[arg(long, env = "KONTOR_DATA", default_value = "data", value_name = "DIR")]
        data: PathBuf,
    },
    /// Bring keys back that a stopped site has lost. Who was erased meanwhile is erased again when it starts.
    Restore {
        /// The backup
        backup: PathBuf,
        /// The data directory, with its journal
        #[arg(long, env = "KONTOR_DATA", default_value = "data", value_name = "DIR")]
        data: PathBuf,
    },
}

pub(crate) fn run(command: &Command, style: Style) -> anyhow::Result<ExitCode> {
    let (report, said) = match command {
        Command::Backup { target, data } => {
            let report = keys::backup(data, target);
            let report = report.with_context(|| format!("the keys in {} were not backed up", data.display()))?;
            let keys = print::grouped(report.keys);
            (report, format!("{keys} keys copied and read back: {}", target.display()))
        }
        Command::Restore { backup, data } => {
            let report = keys::restore(backup, data);
            let report = report.with_context(|| format!("{} was not restored", backup.display()))?;
            let [written, keys] = [report.written, report.keys].map(print::grouped);
            (report, format!("{written} of {keys} keys brought back to {}; the others were there", data.display()))
        }
    };
    match style {
        Style::Json => print::json(&serde_json::json!({"keys": report.keys, "written": report.written})),
        Style::Table => print::line(said),
    }
    Ok(ExitCode::SUCCESS)
}
