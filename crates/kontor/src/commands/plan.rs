//! `kontor site plan`: what to type where, so that regions and stores become one. It changes nothing.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use kontor_core::id::SiteId;
use serde::Serialize;

use crate::print::{self, Style};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A region and the address that the others reach it by; the first is started first
    #[arg(value_name = "NAME=HOST:PORT", required = true)]
    regions: Vec<String>,
    /// A store and the region that it calls; nobody needs to reach it
    #[arg(long = "store", value_name = "NAME@REGION")]
    stores: Vec<String>,
}

/// The plan, as programs read it.
#[derive(Serialize)]
struct Plan {
    sites: Vec<Planned>,
    steps: Vec<Step>,
}

/// A site to be.
#[derive(Serialize)]
struct Planned {
    site: SiteId,
    kind: &'static str,
    address: Option<String>,
    /// The sites that it has links of its own to; of all others it reads through them.
    links: Vec<SiteId>,
}

/// One command, on the machine of one site.
#[derive(Serialize)]
struct Step {
    on: SiteId,
    command: String,
    why: String,
}

pub(crate) fn run(args: &Args, style: Style) -> anyhow::Result<ExitCode> {
    let plan = plan(args)?;
    match style {
        Style::Json => print::json_line(&plan),
        Style::Table => show(&plan),
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    let mut names = BTreeSet::new();
    let mut named = |name: &str| -> anyhow::Result<SiteId> {
        let site = SiteId::parse(name).with_context(|| format!("{name:?} cannot be a site's name"))?;
        ensure!(names.insert(site.clone()), "{site} is named twice: each site has a name of its own, for ever");
        Ok(site)
    };
    let (mut regions, mut addresses) = (Vec::new(), BTreeSet::new());
    for region in &args.regions {
        let Some((name, address)) = region.split_once('=') else { bail!("{region:?} is not NAME=HOST:PORT") };
        let port =
            address.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
        ensure!(port.is_some(), "{address:?} is not HOST:PORT");
        ensure!(addresses.insert(address), "{address} is the address of two regions");
        regions.push((named(name)?, address.to_owned()));
    }
    let mut stores = Vec::new();
    for store in &args.stores {
        let Some((name, region)) = store.split_once('@') else { bail!("{store:?} is not NAME@REGION") };
        let at = regions.iter().position(|(site, _)| site.as_str() == region);
        let at = at.with_context(|| format!("{region} is none of the regions, so {name} cannot call it"))?;
        stores.push((named(name)?, at));
    }
    let mut steps = Vec::new();
    let mut step = |on: &SiteId, command: String, why: String| steps.push(Step { on: on.clone(), command, why });
    for (number, (site, address)) in regions.iter().enumerate() {
        let serve = format!(
            "KONTOR_ADMIN_KEY={} kontor serve --site {site} --listen {address} --data /var/lib/kontor",
            key(site)
        );
        let Some(((first, _), others)) = regions[..number].split_first() else {
            step(site, serve, format!("{} is 32 characters of your own", key(site)));
            continue;
        };
        step(first, at(&regions[0], &format!("add {site}")), format!("prints the code for {site}"));
        step(site, format!("{serve} --join CODE"), format!("joins {first} and reads what is there"));
        for other in others {
            step(&other.0, at(other, &format!("add {site}")), format!("prints a code for {site}"));
            step(site, at(&regions[number], "add CODE"), format!("a link of its own to {}, too", other.0));
        }
    }
    for (store, at_region) in &stores {
        let (region, _) = &regions[*at_region];
        step(region, at(&regions[*at_region], &format!("add {store}")), format!("prints the code for {store}"));
        let serve = format!("kontor serve --store --site {store} --data /var/lib/kontor --join CODE");
        step(store, serve, format!("prints a key of its own; sells also while {region} cannot be reached"));
    }
    for region in &regions {
        step(&region.0, at(region, "list"), "every link is open, and no lag grows".to_owned());
    }
    let region = |(site, address): &(SiteId, String)| {
        let links = regions.iter().filter(|(other, _)| other != site).map(|(other, _)| other.clone());
        Planned { site: site.clone(), kind: "region", address: Some(address.clone()), links: links.collect() }
    };
    let store = |(site, at): &(SiteId, usize)| Planned {
        site: site.clone(),
        kind: "store",
        address: None,
        links: vec![regions[*at].0.clone()],
    };
    Ok(Plan { sites: regions.iter().map(region).chain(stores.iter().map(store)).collect(), steps })
}

/// Where the key of a site stands in a command.
fn key(site: &SiteId) -> String {
    format!("KEY_OF_{}", site.as_str().to_uppercase().replace(['-', '.'], "_"))
}

/// A command to a site that runs.
fn at((site, address): &(SiteId, String), words: &str) -> String {
    format!("KONTOR_KEY={} kontor site {words} --url http://{address}", key(site))
}

fn show(plan: &Plan) {
    let names = |sites: &[SiteId]| sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ");
    let rows = plan.sites.iter().map(|planned| {
        let address = planned.address.clone().unwrap_or_else(|| "calls out only".to_owned());
        vec![planned.site.to_string(), planned.kind.to_owned(), address, names(&planned.links)]
    });
    print::table(&["site", "kind", "address", "links to"], rows, &[]);
    let rows = plan.steps.iter().enumerate().map(|(number, step)| {
        vec![(number + 1).to_string(), step.on.to_string(), step.command.clone(), step.why.clone()]
    });
    print::table(&["step", "on", "command", "what it does"], rows, &[0]);
    print::note("Nothing was changed. CODE is what the step before has printed.".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(regions: &[&str], stores: &[&str]) -> Result<Vec<String>, String> {
        let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
        let plan = plan(&Args { regions: texts(regions), stores: texts(stores) }).map_err(|error| error.to_string())?;
        Ok(plan.steps.iter().map(|step| format!("{}: {}", step.on, step.command)).collect())
    }

    #[test]
    fn each_pair_of_regions_gets_one_code_and_each_store_one() {
        let steps = planned(&["us=10.0.0.1:80", "eu=10.0.0.2:80", "ap=10.0.0.3:80"], &["s1@eu"]).unwrap();
        let codes = steps.iter().filter(|step| step.contains("site add") && !step.contains("CODE"));
        assert_eq!(
            codes.collect::<Vec<_>>(),
            [
                "us: KONTOR_KEY=KEY_OF_US kontor site add eu --url http://10.0.0.1:80",
                "us: KONTOR_KEY=KEY_OF_US kontor site add ap --url http://10.0.0.1:80",
                "eu: KONTOR_KEY=KEY_OF_EU kontor site add ap --url http://10.0.0.2:80",
                "eu: KONTOR_KEY=KEY_OF_EU kontor site add s1 --url http://10.0.0.2:80",
            ]
        );
        assert!(steps.contains(&"s1: kontor serve --store --site s1 --data /var/lib/kontor --join CODE".to_owned()));
    }

    #[test]
    fn what_cannot_be_is_not_planned() {
        for (regions, stores, why) in [
            (&["us"][..], &[][..], "\"us\" is not NAME=HOST:PORT"),
            (&["us=10.0.0.1"], &[], "\"10.0.0.1\" is not HOST:PORT"),
            (&["us=a:1", "us=b:1"], &[], "us is named twice: each site has a name of its own, for ever"),
            (&["us=a:1", "eu=a:1"], &[], "a:1 is the address of two regions"),
            (&["us=a:1"], &["s1@eu"], "eu is none of the regions, so s1 cannot call it"),
            (&["us=a:1"], &["us@us"], "us is named twice: each site has a name of its own, for ever"),
            (&["u s=a:1"], &[], "\"u s\" cannot be a site's name"),
        ] {
            assert_eq!(planned(regions, stores), Err(why.to_owned()));
        }
    }
}
