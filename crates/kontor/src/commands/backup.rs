//! `kontor backup` and `kontor restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use kontor_storage::directory;

use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct BackupArgs {
    /// An empty or new directory for the copy
    target: PathBuf,
    /// The data directory; its site may be running
    #[arg(long, env = "KONTOR_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    backup: PathBuf,
    /// An empty or new directory for the data
    #[arg(long, env = "KONTOR_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

pub(crate) fn backup(args: &BackupArgs, style: Style) -> anyhow::Result<ExitCode> {
    let report = directory::backup(&args.data, &args.target, &mut progress)
        .with_context(|| format!("{} was not backed up", args.data.display()))?;
    print::progress("");
    match style {
        Style::Json => print::json(&serde_json::json!({
            "files": report.files, "bytes": report.bytes, "term": report.term, "end": report.end,
        })),
        Style::Table => print::line(format!(
            "{} files, {} bytes, up to group {} of term {}, copied and read back: {}",
            report.files,
            print::grouped(report.bytes),
            print::grouped(report.end),
            report.term,
            args.target.display()
        )),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn restore(args: &RestoreArgs, style: Style) -> anyhow::Result<ExitCode> {
    let report = directory::restore(&args.backup, &args.data, minutes(), &mut progress)
        .with_context(|| format!("{} was not restored", args.backup.display()))?;
    print::progress("");
    match style {
        Style::Json => print::json(&serde_json::json!({
            "files": report.files, "bytes": report.bytes, "term": report.term,
        })),
        Style::Table => print::line(format!(
            "{} files, {} bytes restored; the site will write term {}. Start it: kontor serve --data {}",
            report.files,
            print::grouped(report.bytes),
            report.term,
            args.data.display()
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// Minutes since 1970: the least term that a restored site begins, so that two restores of one backup
/// never say the same positions.
fn minutes() -> u32 {
    u32::try_from(kontor_site::clock::wall_ms() / 60_000).unwrap_or(u32::MAX)
}

fn progress(progress: directory::Progress<'_>) {
    let directory::Progress { step, file, files_done, files, bytes_done } = progress;
    let bytes = print::grouped(bytes_done);
    print::progress(format!("{step} {files_done} of {files} files, {bytes} bytes: {}", file.display()));
}
