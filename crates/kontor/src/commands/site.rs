//! `kontor site`: the sites whose journals a running site reads.

use std::process::ExitCode;

use kontor_api::site::{GroupPlace, PeerAddress, PeerSite, Sites};

use super::Target;
use crate::print::{self, Style};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the sites whose journals are read: how far, how late, and how the links are.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Let a site in: prints the code with which it joins this one. Given a code, joins the site that gave it.
    Add {
        /// The name of the site that is to join, or the code of another site
        #[arg(value_name = "NAME|CODE")]
        site: String,
        #[command(flatten)]
        target: Target,
    },
    /// Say what to type where, so that regions and stores become one. Changes nothing.
    Plan(super::plan::Args),
    /// Fetch the end of a restored site's journal from a site that has read it.
    Mend(super::mend::Args),
}

pub(crate) fn run(command: &Command, style: Style) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { target } => {
            let client = target.client()?;
            let sites = super::block_on(async { Ok(client.sites().await?) })?;
            match style {
                Style::Json => print::json_line(&sites),
                Style::Table => list(&sites),
            }
        }
        Command::Add { site, target } if site.parse::<PeerAddress>().is_ok() => {
            let client = target.client()?;
            let joined = super::block_on(async { Ok(client.add_link(site, true).await?) })?;
            match style {
                Style::Json => print::json_line(&joined),
                Style::Table => print::line(format!("joined {}; see kontor site list", joined.site)),
            }
        }
        Command::Plan(args) => return super::plan::run(args, style),
        Command::Mend(args) => return super::mend::run(args, style),
        Command::Add { site, target } => {
            let client = target.client()?;
            let enrolled = super::block_on(async { Ok(client.enroll_site(site).await?) })?;
            match style {
                Style::Json => print::json_line(&enrolled),
                Style::Table => {
                    print::line(&enrolled.code);
                    print::note(format!(
                        "This code is shown once. Start the other site with it: kontor serve --site {site} --join CODE, and \
                         with --store if it is a store, which calls and is not called."
                    ));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(sites: &Sites) {
    let place = |place: GroupPlace| format!("{}-{}", place.term, place.seq);
    let rows = sites.items.iter().map(|item| {
        let PeerSite { site, url, link, through, read, end, lag_groups, lag_ms, has_read, error, .. } = item;
        vec![
            site.clone(),
            link.as_str().to_owned(),
            through.clone().unwrap_or_default(),
            place(*read),
            end.map(place).unwrap_or_default(),
            print::grouped(*lag_groups),
            print::grouped(*lag_ms),
            has_read.map(place).unwrap_or_default(),
            url.clone().unwrap_or_default(),
            error.clone().unwrap_or_default(),
        ]
    });
    let headings = ["site", "link", "through", "read", "end", "lag groups", "lag ms", "has read", "url", "error"];
    print::table(&headings, rows, &[5, 6]);
    print::note(format!("This is {}, whose journal ends at {}.", sites.site, place(sites.end)));
    if let Some(why) = &sites.silent {
        print::note(format!("It writes nothing: {why}"));
    }
}
