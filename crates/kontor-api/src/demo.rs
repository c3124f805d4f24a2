//! What a demo says of itself and takes: its sites, and the links between them, which can be cut and healed.
//! No other site has these paths, and the API's document does not tell of them.

use serde::{Deserialize, Serialize};

use crate::changes::SiteKind;

/// Where a demo tells its sites and links.
pub const DEMO: &str = "/demo";

/// Where links are cut and healed.
pub const DEMO_LINKS: &str = "/demo/links";

/// The sites and links of a demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demo {
    /// The site that answers.
    pub site: String,
    /// All sites.
    pub sites: Vec<DemoSite>,
    /// All links, each in one direction.
    pub links: Vec<DemoLink>,
}

/// A site of a demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoSite {
    /// Its name.
    pub site: String,
    /// What kind of site it is.
    pub kind: SiteKind,
    /// Where it answers; the first address is that of its pages and its API.
    pub ports: Vec<DemoPort>,
}

impl DemoSite {
    /// The address of its pages and its API.
    pub fn url(&self) -> &str {
        self.ports.first().map_or("", |port| port.url.as_str())
    }
}

/// An address of a site, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoPort {
    /// `http://host:port`.
    pub url: String,
    /// Who finds here what.
    pub about: String,
}

/// A link: `from` asks `to` for its journal over it. Cut, `from` hears nothing of `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoLink {
    /// The site that reads.
    pub from: String,
    /// The site whose journal is read.
    pub to: String,
    /// Whether anything is carried.
    pub open: bool,
}

/// Cuts or heals links.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLinks {
    /// One end; every site, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The other end; every other site, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether they are to carry anything.
    pub open: bool,
    /// Only what `from` reads of `to`, not the other direction too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_way: bool,
}
