//! Every invariant of a site, looked at one by one and counted: what `kontor check` prints.
//!
//! | what is looked at | by | against |
//! | --- | --- | --- |
//! | other sites' journals, as far as they are kept | [`Walk`] | their chains, and what own groups say to have seen |
//! | the journal, entry by entry | [`Walk`] | the rows as they were at that entry: policy in force, units there, keys, references |
//! | the rows that it folds to | [`rows`] | each other: ledger, holds, promises, deadlines, catalogue |
//! | the site's own tables | [`compare`] | the rows that the journal folds to, byte by byte |
//!
//! Nothing here trusts `decide`: an entry is judged by what it says and by the rows before and after it.
//! Memory stays bounded whatever the size of the journal: everything remembered is a row.

mod entry;
mod orders;
mod others;
mod rows;
mod tables;
mod walk;

pub use rows::rows;
pub use tables::compare;
pub use walk::Walk;

/// Broken rules that are told one by one; beyond them they are only counted.
const TOLD_MAX: usize = 100;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The journal is the one that was written.
    Chain,
    /// Site time and writers only move forward.
    Order,
    /// What happened can be applied to what was there.
    Fold,
    /// Nothing is promised that the policy in force did not allow.
    Promised,
    /// Nothing is handed out that was not there.
    AtHand,
    /// Lines and answers say what happened.
    Booked,
    /// Holds end once, and in time.
    Holds,
    /// Names are given once.
    Names,
    /// References are used once.
    References,
    /// A key has one effect while it is remembered.
    Keys,
    /// The ledger explains each unit.
    Ledger,
    /// What is reserved is held.
    Reserved,
    /// What is committed is promised.
    Committed,
    /// Lists by item and by deadline name what is live.
    Lists,
    /// The shares of sites are what is there.
    Shares,
    /// Merged rows are the merge of their siblings.
    Catalog,
    /// SKUs are claimed by who uses them.
    Claims,
    /// Products are found by what they are.
    Index,
    /// Orders are what their lines, units and payments say.
    Orders,
    /// Payments are asked for until it is known what came of it.
    Payments,
    /// The tables on disk are what the journal folds to.
    Tables,
}

impl Rule {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 21] = [
        Self::Chain,
        Self::Order,
        Self::Fold,
        Self::Promised,
        Self::AtHand,
        Self::Booked,
        Self::Holds,
        Self::Names,
        Self::References,
        Self::Keys,
        Self::Ledger,
        Self::Reserved,
        Self::Committed,
        Self::Lists,
        Self::Shares,
        Self::Catalog,
        Self::Claims,
        Self::Index,
        Self::Orders,
        Self::Payments,
        Self::Tables,
    ];

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Order => "order",
            Self::Fold => "fold",
            Self::Promised => "promised",
            Self::AtHand => "at_hand",
            Self::Booked => "booked",
            Self::Holds => "holds",
            Self::Names => "names",
            Self::References => "references",
            Self::Keys => "keys",
            Self::Ledger => "ledger",
            Self::Reserved => "reserved",
            Self::Committed => "committed",
            Self::Lists => "lists",
            Self::Shares => "shares",
            Self::Catalog => "catalog",
            Self::Claims => "claims",
            Self::Index => "index",
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Tables => "tables",
        }
    }

    /// For people: what holds, and what was counted.
    pub fn words(self) -> &'static str {
        match self {
            Self::Chain => "each group follows from the one before (groups)",
            Self::Order => "site time and writers only move forward (groups)",
            Self::Fold => "what happened fits what was there (entries)",
            Self::Promised => "nothing is promised beyond the policy in force (lines sold or held)",
            Self::AtHand => "nothing is handed out that is not there (lines handed out or written off)",
            Self::Booked => "lines and answers say what happened (lines)",
            Self::Holds => "a hold ends once, in time, and ships what it committed (events of holds)",
            Self::Names => "a name is given once (locations, reservations, keys)",
            Self::References => "a reference is used once (references)",
            Self::Keys => "an idempotency key has one effect while it is remembered (entries with a key)",
            Self::Ledger => "movements add up to on_hand, one after another (movements)",
            Self::Reserved => "reserved is the sum of live holds (shelves)",
            Self::Committed => "committed is what is promised and not handed out (shelves)",
            Self::Lists => "lists by item and deadline name what is live, and nothing else (rows)",
            Self::Shares => "the shares of all sites add up to what is there (shelves)",
            Self::Catalog => "products and SKUs are what their edits add up to (products, SKUs)",
            Self::Claims => "a SKU is claimed by the products that use it (claims, variants)",
            Self::Index => "products are found by what they are, and by nothing else (rows of the index)",
            Self::Orders => "orders are what their lines, units and payments add up to (orders)",
            Self::Payments => "payments are asked for until it is known what came of it (payments)",
            Self::Tables => "the tables on disk are what the journal folds to (rows)",
        }
    }
}

/// A rule that was broken, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// In words, with names and numbers.
    pub what: String,
}

/// What was looked at, and what was wrong with it.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Sizes of what was looked at.
    pub figures: Vec<(&'static str, u64)>,
    /// Broken rules, the first of them.
    pub broken: Vec<Broken>,
    counts: [Count; Rule::ALL.len()],
}

/// How often a rule was looked at, and how often it was broken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// What its words name was counted so often.
    pub looked_at: u64,
    /// How often it was broken.
    pub broken: u64,
}

impl Report {
    /// Notes the size of something.
    pub fn figure(&mut self, what: &'static str, count: u64) {
        self.figures.push((what, count));
    }

    /// What was counted for a rule.
    pub fn count(&self, rule: Rule) -> Count {
        self.counts[rule as usize]
    }

    /// How many times a rule was broken in all.
    pub fn broken_total(&self) -> u64 {
        self.counts.iter().map(|count| count.broken).sum()
    }

    /// Notes that a rule was looked at `times` more.
    fn looked(&mut self, rule: Rule, times: u64) {
        self.counts[rule as usize].looked_at += times;
    }

    /// Notes a broken rule.
    fn broken(&mut self, rule: Rule, what: String) {
        self.counts[rule as usize].broken += 1;
        if self.broken.len() < TOLD_MAX {
            self.broken.push(Broken { rule, what });
        }
    }

    /// Notes a rule as broken unless it `holds`.
    fn expect(&mut self, rule: Rule, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(rule, what());
        }
    }
}
