//! `kontor explain`: why a SKU can or cannot be sold.

use std::process::ExitCode;

use super::Target;
use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The SKU
    sku: String,
    /// Only at this location
    #[arg(long)]
    location: Option<String>,
    /// For this many units
    #[arg(long)]
    quantity: Option<u64>,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let client = args.target.client()?;
    let answer =
        super::block_on(async { Ok(client.explain_stock(&args.sku, args.location.as_deref(), args.quantity).await?) })?;
    if style == Style::Json {
        print::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    print::line(&answer.summary);
    for location in &answer.locations {
        print::line("");
        print::line(&location.level.location);
        location.sentences.iter().for_each(|sentence| print::line(format!("  {sentence}")));
        if !location.holds.is_empty() {
            let rows = location.holds.iter().map(|hold| {
                let ends = hold.expires_at.map_or_else(|| "committed".into(), |at| at.to_string());
                vec![hold.reservation.clone(), hold.quantity.to_string(), ends]
            });
            print::table(&["reservation", "units", "ends"], rows, &[1]);
        }
    }
    Ok(ExitCode::SUCCESS)
}
