//! The rules. A decision reads rows, and says which events follow from a command, or why none do.
//!
//! Checks stand in the order in which a person would explain them: is the request sensible, does
//! what it names exist, was it done before, is there enough.

mod all;
mod carts;
mod catalog;
mod checkout;
mod customers;
mod jobs;
mod locations;
mod offers;
mod orders;
mod payments;
mod quota;
mod reservations;
mod stock;
mod stock_jobs;
mod upkeep;

pub use carts::{forgotten, line_now, requirements};
use catalog::Wanted;

use crate::command::{Command, Context, Line, Request};
use crate::event::Event;
use crate::fold::{Remembered, remembered};
use crate::id::{LocationId, SiteId, Sku};
use crate::limits::{LINE_NUMBERS_BYTES_MAX, LINES_MAX};
use crate::location::Location;
use crate::product::{Item, Status};
use crate::refusal::{Refusal, Stop};
use crate::view::{View, ViewError, derived, row, rows_of_sites};

/// What a request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These events, to be appended and folded.
    Events(Vec<Event>),
    /// The same request was answered before; nothing happens again.
    Repeat(Remembered),
}

/// Decides a request: its key first, then its command.
pub fn decide(view: &dyn View, request: &Request, context: Context<'_>) -> Result<Decision, Stop> {
    if let Some(key) = &request.idempotency
        && let Some(before) = remembered(view, context.site, context.now.day(), &key.scope)?
    {
        let same = before.fingerprint == key.fingerprint;
        return if same { Ok(Decision::Repeat(before)) } else { Err(Refusal::KeyReused.into()) };
    }
    let events = events(view, &request.command, context)?;
    Ok(Decision::Events(events))
}

/// Decides a command.
pub fn events(view: &dyn View, command: &Command, context: Context<'_>) -> Result<Vec<Event>, Stop> {
    let rules = Rules { view, context };
    match command {
        Command::EditProduct { id, edit, expected, must, variants } => {
            let (expected, must, variants) = (*expected, *must, *variants);
            rules.edit_product(Wanted { id, edit, expected, must, variants, job: None })
        }
        Command::DeleteProduct { id, expected } => rules.delete_product(id, *expected),
        Command::EditListing { id, market, edit, expected } => rules.edit_listing(id, market, edit, *expected),
        Command::UpsertProducts { step, items } => rules.upsert_products(step.as_ref(), items),
        Command::StartJob { id, kind, source, digest, options } => {
            rules.start_job(*id, *kind, source, *digest, options)
        }
        Command::BookStock { step, items } => rules.book_stock(step, items),
        Command::FinishJob { id } => rules.finish_job(*id),
        Command::UndoJob { id } => rules.undo_job(*id),
        Command::OpenLocation { id, name } => rules.open_location(id, name),
        Command::RenameLocation { id, name, expected } => rules.rename_location(id, name, *expected),
        Command::Receive { from, lines, note } => rules.receive(*from, lines, note),
        Command::Issue { lines, note } => rules.issue(lines, note),
        Command::Ship { reservation: id, .. }
        | Command::Extend { id, .. }
        | Command::Commit { id }
        | Command::Release { id }
            if let Some(refusal) = rules.held_for_transfer(*id)? =>
        {
            Err(refusal.into())
        }
        Command::Extend { id, .. } | Command::Commit { id } | Command::Release { id }
            if let Some(refusal) = rules.held_for_order(*id)? =>
        {
            Err(refusal.into())
        }
        Command::Ship { reservation, lines, note } => rules.ship(*reservation, lines.as_deref(), note),
        Command::WriteOff { line, from_unavailable, note } => rules.write_off(line, *from_unavailable, note),
        Command::Count { sku, location, counted, expected, note } => {
            rules.count(sku, location, *counted, *expected, note)
        }
        Command::Adjust { sku, location, unavailable, safety_stock } => {
            rules.adjust(sku, location, *unavailable, *safety_stock)
        }
        Command::Reserve { id, owner, lines, hold_ms } => rules.reserve(*id, owner.as_ref(), lines, *hold_ms),
        Command::Extend { id, hold_ms } => rules.extend(*id, *hold_ms),
        Command::Commit { id } => rules.commit(*id),
        Command::Release { id } => rules.release(*id),
        Command::CreateKey { id, role, digest } => rules.create_key(id, role.clone(), *digest),
        Command::EndDueHolds { ids } => rules.end_due_holds(ids),
        Command::StartDay => rules.start_day(),
        Command::ExpectVersion { sku, location, version } => rules.expect_version(sku, location, *version),
        Command::All(commands) => rules.all(commands),
        Command::DescribeSite { kind } => rules.describe_site(*kind),
        Command::TendQuota { items } => rules.tend_quota(items),
        Command::AskTransfer { id, from, to, lines, reason } => {
            rules.ask_transfer(*id, (from, to), lines, reason.as_ref())
        }
        Command::WithdrawTransfer { id } => rules.withdraw_transfer(*id),
        Command::DispatchTransfer { id, note } => rules.dispatch_transfer(*id, note),
        Command::ReceiveTransfer { id, received, note } => rules.receive_transfer(*id, received, note),
        Command::TendOffer { id, asker } => rules.tend_offer(*id, asker),
        Command::BorrowQuota { sku, location, missing } => rules.borrow_quota(sku, location, *missing),
        Command::SaveCustomer { id, edit, expected, must } => rules.save_customer(*id, edit, *expected, *must),
        Command::EraseCustomer { id, reason } => rules.erase_customer(*id, reason.as_ref()),
        Command::OpenCart { id, token, currency, market, details, lines } => {
            let (id, token, currency, market) = (*id, *token, *currency, market.as_ref());
            rules.open_cart(&carts::Opened { id, token, currency, market, details, lines })
        }
        Command::ChangeCart { id, lines, details, expected } => rules.change_cart(*id, lines, details, *expected),
        Command::AcceptPrices { id } => rules.accept_prices(*id),
        Command::MergeCarts { from, into } => rules.merge_carts(*from, *into),
        Command::Checkout { cart, method, capture, hold_ms } => {
            rules.checkout(*cart, method.as_ref(), *capture, *hold_ms)
        }
        Command::PayOrder { id, method, capture } => rules.pay_order(*id, method, *capture),
        Command::CapturePayment { id, amount } => rules.capture_payment(*id, *amount),
        Command::CancelOrder { id, reason } => rules.cancel_order(*id, reason.as_ref()),
        Command::AbandonOrder { id, reason } => rules.abandon_order(*id, reason.as_ref()),
        Command::RefundOrder { id, amount, lines, reason } => rules.refund_order(*id, *amount, lines, reason.as_ref()),
        Command::ReportPayment { id, attempt, outcome, callback } => {
            rules.report_payment(*id, *attempt, outcome, callback.as_ref())
        }
        Command::ParkPayment { id, attempt, reason } => rules.park_payment(*id, *attempt, reason),
        Command::ResumePayment { id } => rules.resume_payment(*id),
        Command::SweepCarts { ids } => rules.sweep_carts(ids),
    }
}

/// What every rule looks at.
#[derive(Clone, Copy)]
struct Rules<'a> {
    view: &'a dyn View,
    context: Context<'a>,
}

impl<'a> Rules<'a> {
    /// The item behind a SKU, which must exist.
    fn item(self, sku: &Sku) -> Result<Item, Stop> {
        let item = derived::<Item>(self.view, sku)?;
        item.ok_or_else(|| Refusal::UnknownSku { sku: sku.clone() }.into())
    }

    /// The item behind a SKU, which must be for sale.
    fn item_for_sale(self, sku: &Sku) -> Result<Item, Stop> {
        match self.item(sku)? {
            Item { status: Status::Archived, product, .. } => {
                Err(Refusal::ProductArchived { sku: sku.clone(), id: product }.into())
            }
            Item { status: Status::Draft, product, .. } => {
                Err(Refusal::ProductDraft { sku: sku.clone(), id: product }.into())
            }
            item => Ok(item),
        }
    }

    /// The home site of a location, which must exist.
    fn home(self, location: &LocationId) -> Result<SiteId, Stop> {
        if row::<Location>(self.view, self.context.site, location)?.is_some() {
            return Ok(self.context.site.clone());
        }
        let elsewhere = rows_of_sites::<Location>(self.view, location)?;
        match elsewhere.into_iter().next() {
            Some((home, _)) => Ok(home),
            None => Err(Refusal::UnknownLocation { location: location.clone() }.into()),
        }
    }

    /// A location whose books are kept here.
    fn home_here(self, location: &LocationId) -> Result<(), Stop> {
        let home = self.home(location)?;
        if home == *self.context.site {
            return Ok(());
        }
        Err(Refusal::OwnedElsewhere { location: location.clone(), home }.into())
    }

    /// Refuses an empty or an overlong list, and sums lines of one item: each item once, in the
    /// order of its first line.
    fn summed(self, lines: &[Line]) -> Result<Vec<Demand>, Stop> {
        if lines.is_empty() {
            return Err(Refusal::Nothing { what: "lines" }.into());
        }
        limit("lines", lines.len() as u64, LINES_MAX as u64)?;
        let mut place = std::collections::BTreeMap::new();
        let mut demand: Vec<Demand> = Vec::with_capacity(lines.len());
        for line in lines {
            let at = *place.entry((&line.sku, &line.location)).or_insert(demand.len());
            match demand.get_mut(at) {
                Some(same) => same.quantity += line.quantity.units(),
                None => demand.push(Demand {
                    sku: line.sku.clone(),
                    location: line.location.clone(),
                    quantity: line.quantity.units(),
                }),
            }
        }
        for item in &demand {
            limit("units", item.quantity, crate::limits::QUANTITY_MAX)?;
        }
        Ok(demand)
    }
}

/// Units of one item that a command asks for in total.
struct Demand {
    sku: Sku,
    location: LocationId,
    quantity: u64,
}

/// The most that a line of this item takes in an entry.
fn line_bytes(sku: &Sku, location: &LocationId) -> usize {
    sku.as_str().len() + location.as_str().len() + LINE_NUMBERS_BYTES_MAX
}

fn limit(what: &'static str, given: u64, max: u64) -> Result<(), Stop> {
    if given <= max { Ok(()) } else { Err(Refusal::LimitExceeded { what, given, max }.into()) }
}

fn bounds(what: &'static str, given: u64, min: u64, max: u64) -> Result<(), Stop> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(Refusal::OutOfBounds { what, given, min, max }.into())
}

/// Refuses if the caller has seen another revision than the newest.
fn revision(expected: Option<u64>, actual: u64) -> Result<(), Stop> {
    match expected {
        Some(expected) if expected != actual => Err(Refusal::PreconditionFailed { expected, actual }.into()),
        _ => Ok(()),
    }
}

/// Refuses if the caller believes another number than the one that is there.
fn expect_number(field: &'static str, expected: Option<i64>, actual: i64) -> Result<(), Stop> {
    match expected {
        Some(expected) if expected != actual => Err(Refusal::ExpectedMismatch { field, expected, actual }.into()),
        _ => Ok(()),
    }
}

fn unreadable(table: &'static str, why: &str) -> Stop {
    ViewError { table, why: why.into() }.into()
}
