//! `kontor jobs`: imports of a site, the newest first.

use std::process::ExitCode;

use kontor_api::job::Job;

use super::Target;
use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this one, with the rows that were refused
    job: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let client = args.target.client()?;
    super::block_on(async {
        let Some(id) = &args.job else {
            let mut token = None;
            let mut jobs = Vec::new();
            loop {
                let page = client.jobs(token.as_deref()).await?;
                jobs.extend(page.items);
                token = page.next_page_token;
                if token.is_none() {
                    break;
                }
            }
            print_jobs(&jobs, style);
            return Ok(());
        };
        let job = client.job(id).await?;
        print_jobs(std::slice::from_ref(&job), style);
        let mut token = None;
        loop {
            let page = client.refused_rows(id, token.as_deref()).await?;
            for row in &page.items {
                if style == Style::Json {
                    print::json_line(row);
                } else {
                    let (code, detail) = (row.code.as_deref().unwrap_or_default(), row.detail.as_deref());
                    print::line(format!("row {}: {} ({code})", row.line, detail.unwrap_or_default()));
                }
            }
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print_jobs(jobs: &[Job], style: Style) {
    if style == Style::Json {
        jobs.iter().for_each(print::json_line);
        return;
    }
    // The words of the API, not those of the source.
    let word = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    };
    let rows = jobs.iter().map(|job| {
        let counts = [job.through_line, job.created, job.changed, job.unchanged, job.refused].map(print::grouped);
        let (kind, status) = (word(serde_json::to_value(job.kind)), word(serde_json::to_value(job.status)));
        let words = [job.id.clone(), kind, status, job.source.clone(), job.started_at.to_string()];
        words.into_iter().chain(counts).collect()
    });
    let headings = ["job", "kind", "status", "source", "started", "rows", "created", "changed", "unchanged", "refused"];
    print::table(&headings, rows, &[5, 6, 7, 8, 9]);
}
