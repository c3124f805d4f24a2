//! The tour for people, as it goes; and its end, for them or for programs.

use std::collections::BTreeMap;

use kontor_api::demo::Demo;
use serde_json::Value;

use super::books::Books;
use super::{Facts, Refused};
use crate::print::{self, Style};

/// Tells what happens while it does, to people alone.
pub(super) struct Teller {
    pub(super) style: Style,
}

impl Teller {
    /// One sentence.
    pub(super) fn step(&self, text: &str) {
        if self.style == Style::Table {
            print::line(text);
        }
    }

    pub(super) fn begin(&self, demo: &Demo, was_there: bool) {
        let started = if was_there { "runs already" } else { "was started for this tour" };
        self.step(&format!("The demo with {} sites {started}. All links are open.\n", demo.sites.len()));
    }

    pub(super) fn received(&self, sku: &str, received: &BTreeMap<String, u64>) {
        let places: Vec<String> = received.iter().map(|(location, units)| format!("{units} at {location}")).collect();
        let units: u64 = received.values().sum();
        self.step(&format!("{units} units of {sku} came in: {}.", places.join(", ")));
    }

    pub(super) fn borrowed(&self, store: &str, told: &Value, seconds: f64) {
        self.step(&format!(
            "{store} has an empty shelf and a buyer. It was told {}: others hold {} (as of {}).\n\
             It asked for the unit, and sold it {seconds:.2} s later.",
            plain(&told["code"]),
            told["elsewhere"],
            plain(&told["as_of"]),
        ));
    }

    pub(super) fn shares(&self, books: &Books) {
        let shares = books.shelves.iter().map(|(location, shelf)| {
            let held = shelf.quota.iter().map(|(site, quota)| (site, quota - shelf.sold.get(site).unwrap_or(&0)));
            let held = held.filter(|(_, units)| *units > 0).map(|(site, units)| format!("{units} by {site}"));
            format!("{location}: {}", held.collect::<Vec<_>>().join(", "))
        });
        self.step(&format!("Each unit may be sold by one site. {}.\n", shares.collect::<Vec<_>>().join("; ")));
    }

    /// Who got the last units, and what everybody else was told.
    pub(super) fn sales(
        &self,
        before: &Books,
        after: &Books,
        sold: &BTreeMap<String, BTreeMap<String, u64>>,
        refused: &[Refused],
    ) {
        if self.style == Style::Json {
            return;
        }
        print::line("\nBuyers come to all sites at once and buy until they are refused:");
        let mut sites: Vec<&String> = sold.keys().chain(refused.iter().map(|refused| &refused.site)).collect();
        sites.sort();
        sites.dedup();
        let rows = sites.into_iter().map(|site| {
            let got = sold.get(site).map(|places| {
                places.iter().map(|(location, units)| format!("{units} at {location}")).collect::<Vec<_>>().join("\n")
            });
            let told = refused.iter().filter(|refused| refused.site == *site).map(|refused| {
                let elsewhere = match &refused.answer["elsewhere"] {
                    Value::Null => String::new(),
                    units => format!(", elsewhere {units}"),
                };
                format!("{}× at {}: {}{elsewhere}", refused.times, refused.location, refused.code)
            });
            let units = [before.left_at(site).to_string(), got.unwrap_or_default()];
            [site.clone()]
                .into_iter()
                .chain(units)
                .chain([after.left_at(site).to_string(), told.collect::<Vec<_>>().join("\n")])
                .collect()
        });
        print::table(&["site", "held", "sold", "left", "refused, and why"], rows, &[1, 3]);
        print::line("Meanwhile the title was edited at both regions, neither knowing of the other.\n");
    }

    /// Who wrote what, and what shows.
    pub(super) fn conflict(&self, conflict: &Value, explained: &Value) {
        if self.style == Style::Json {
            return;
        }
        let winner = &conflict["winner"]["site"];
        print::line(format!(
            "\nThe edits of the title are in conflict, at every site alike (rule: {}):",
            plain(&conflict["rule"])
        ));
        let rows = conflict["candidates"].as_array().into_iter().flatten().map(|candidate| {
            let shows = if candidate["site"] == *winner { "shows" } else { "" };
            [&candidate["site"], &candidate["value"], &candidate["at"]]
                .map(plain)
                .into_iter()
                .chain([shows.to_owned()])
                .collect()
        });
        print::table(&["site", "wrote", "at", ""], rows, &[]);
        print::line(format!("The global catalogue explains it: {}\n", plain(&explained["explanation"])));
    }
}

/// The checks, or everything as JSON.
pub(super) fn end(facts: &Facts, style: Style) {
    if style == Style::Json {
        print::json_line(facts);
        return;
    }
    let rows = facts.checks.iter().map(|check| {
        let found = check.found.replace("; ", "\n");
        vec![if check.ok { "yes" } else { "NO" }.to_owned(), check.what.to_owned(), found]
    });
    print::table(&["", "what must be so", "what was found"], rows, &[]);
    let verdict = if facts.ok { "Everything adds up." } else { "SOMETHING DOES NOT ADD UP." };
    print::line(format!("{verdict} {} requests; all of them with --json.", facts.requests.len()));
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
