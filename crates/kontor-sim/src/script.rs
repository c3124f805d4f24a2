//! What goes wrong in a world, by number, and what of it is left out to find out what a failure needs.
//!
//! The seed decides what goes wrong after which intention of which site, and how; leaving one thing out
//! does not change the others. So a world can be lived through again with a part of its troubles.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The links, among the places at which things go wrong; sites are numbered from 0.
pub(crate) const LINKS: u8 = 9;

/// One thing that goes wrong: where, and the how-many-th of that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId {
    pub(crate) place: u8,
    pub(crate) number: u32,
}

/// One thing that went wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which.
    pub id: FaultId,
    /// When, in microseconds of the world.
    pub at_us: u64,
    /// What.
    pub what: String,
}

/// Something that happens to messages all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Noise {
    /// Messages are lost.
    Loss,
    /// Messages arrive twice.
    Doubling,
    /// Messages take long, and are overtaken.
    Delay,
}

impl Noise {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Loss, Self::Doubling, Self::Delay];
}

/// What of a world takes place: all that its seed has in store, unless something is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Only these things go wrong.
    pub only: Option<BTreeSet<FaultId>>,
    /// Of what messages are spared.
    pub without: BTreeSet<Noise>,
    /// No more clients at a site than these.
    pub clients: Option<u64>,
}

impl Script {
    pub(crate) fn has(&self, id: FaultId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&id))
    }

    pub(crate) fn hears(&self, noise: Noise) -> bool {
        !self.without.contains(&noise)
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            LINKS => write!(f, "links.{}", self.number),
            site => write!(f, "{site}.{}", self.number),
        }
    }
}

impl FromStr for FaultId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not like 0.3 or links.3");
        let (place, number) = text.split_once('.').ok_or_else(wrong)?;
        let place = if place == "links" { LINKS } else { place.parse().map_err(|_| wrong())? };
        Ok(Self { place, number: number.parse().map_err(|_| wrong())? })
    }
}

/// The arguments of the program that make a world take place like this, each after a blank.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(clients) = self.clients {
            write!(f, " --clients {clients}")?;
        }
        if !self.without.is_empty() {
            let names = self.without.iter().filter_map(clap::ValueEnum::to_possible_value);
            let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
            write!(f, " --without {}", names.join(","))?;
        }
        match &self.only {
            None => Ok(()),
            Some(only) if only.is_empty() => write!(f, " --faults none"),
            Some(only) => {
                let ids: Vec<String> = only.iter().map(FaultId::to_string).collect();
                write!(f, " --faults {}", ids.join(","))
            }
        }
    }
}
