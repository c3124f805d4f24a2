//! The change feed as it is shown: whole to holders of keys; to everybody else what shops show anyway,
//! and which stock to read anew. How much was sold, and to whom it is promised, is nobody's business.

use std::collections::BTreeSet;

use kontor_api::Time;
use kontor_api::changes::{Change, Event};
use kontor_core::event;
use kontor_core::id::{LocationId, ProductId, Sku};
use kontor_core::product::Status;
use kontor_site::feed::FeedItem;
use kontor_site::reader::Reader;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::convert;
use crate::convert::product::Audience;
use crate::problem::Problem;

/// What happened after a position.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Changes)]
pub(crate) struct Shown {
    /// Entries of the journal, oldest first.
    pub(crate) items: Vec<Entry>,
    /// Send it as `after` to go on from here.
    #[schema(example = "1-7-0")]
    pub(crate) next: String,
}

/// Everything that one request did. Without a key, who and by which request are left out, and all that
/// it did to stock is one `stock_changed`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(crate) struct Entry {
    /// Its place in the journal.
    #[schema(example = "1-7-0")]
    pub(crate) position: String,
    /// When it was recorded.
    recorded_at: Time,
    /// Who wanted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor: Option<String>,
    /// The request's id in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
    /// What happened, in order.
    events: Vec<Effect>,
}

/// One effect.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Effect {
    /// As the journal has it.
    Whole(Event),
    /// As everybody is told.
    Public(PublicEvent),
}

/// What takes the place of everything that happens to stock, without a key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PublicEvent {
    /// Stock or what is promised of it changed; `GET /stock/{sku}` says to what.
    StockChanged {
        /// Of which items, each once.
        lines: Vec<StockPlace>,
    },
}

/// An item at a location.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
struct StockPlace {
    /// Of what.
    sku: String,
    /// Where.
    location: String,
}

/// An entry of the feed as holders of keys read it.
pub(crate) fn whole(item: &FeedItem) -> Result<Entry, Problem> {
    let Change { position, recorded_at, actor, request_id, events } = convert::change(item)?;
    let events = events.into_iter().map(Effect::Whole).collect();
    Ok(Entry { position, recorded_at, actor, request_id, events })
}

/// What everybody may know, which depends on what is for sale now: of a draft nothing is told, nor of what
/// was one and is gone.
pub(crate) struct Everybody {
    reader: Reader,
}

impl Everybody {
    pub(crate) fn now(app: &App) -> Self {
        Self { reader: app.site.read() }
    }

    fn sees(&self, id: &ProductId) -> Result<bool, Problem> {
        Ok(self.reader.product(id)?.is_some_and(|product| Audience::Everybody.sees(&product)))
    }

    fn sees_stock(&self, sku: &Sku) -> Result<bool, Problem> {
        Ok(self.reader.item(sku)?.is_some_and(|item| item.status != Status::Draft))
    }

    /// What of an entry everybody may know, which may be nothing.
    pub(crate) fn entry(&self, item: &FeedItem) -> Result<Option<Entry>, Problem> {
        let mut events = Vec::new();
        // One set for all events: their number and order would tell a sale from a receipt.
        let mut places = BTreeSet::new();
        let mut place = |sku: &Sku, location: &LocationId| -> Result<(), Problem> {
            if self.sees_stock(sku)? {
                places.insert(StockPlace { sku: sku.to_string(), location: location.to_string() });
            }
            Ok(())
        };
        for event in &item.entry.events {
            match event {
                event::Event::ProductEdited(edited) => {
                    events.extend(self.edited(event, edited)?.map(Effect::Whole));
                }
                event::Event::ListingEdited(edited) => {
                    if self.sees(&edited.id)? {
                        let (id, market) = (edited.id.to_string(), edited.market.to_string());
                        events.push(Effect::Whole(Event::ListingChanged { id, market, changes: Vec::new() }));
                    }
                }
                event::Event::LocationOpened { .. } | event::Event::LocationRenamed { .. } => {
                    events.push(Effect::Whole(convert::event(event)?))
                }
                event::Event::StockMoved { lines, .. } => {
                    lines.iter().try_for_each(|line| place(&line.sku, &line.location))?;
                }
                event::Event::StockAdjusted { sku, location, .. }
                | event::Event::QuotaAsked { sku, location, .. }
                | event::Event::QuotaGranted { sku, location, .. }
                | event::Event::QuotaDeclined { sku, location, .. } => place(sku, location)?,
                event::Event::ReservationMade { lines, .. }
                | event::Event::ReservationEnded { lines, .. }
                | event::Event::ReservationCanceled { lines, .. } => {
                    lines.iter().try_for_each(|line| place(&line.sku, &line.location))?;
                }
                // A deadline changes no level, and the rest is for operators and for the buyer alone.
                event::Event::CustomerSaved { .. }
                | event::Event::CustomerErased { .. }
                | event::Event::CartOpened { .. }
                | event::Event::CartFilled { .. }
                | event::Event::CartDetailed { .. }
                | event::Event::CartClosed { .. }
                | event::Event::CartSwept { .. }
                | event::Event::OrderPlaced { .. }
                | event::Event::OrderMoved(_)
                | event::Event::PaymentRequested(_)
                | event::Event::PaymentReported(_)
                | event::Event::PaymentParked { .. }
                | event::Event::CallbackTaken { .. } => {}
                event::Event::ReservationExtended { .. }
                | event::Event::KeyCreated { .. }
                | event::Event::SiteDescribed { .. }
                | event::Event::TransferAsked { .. }
                | event::Event::TransferSaid { .. }
                | event::Event::TransferAnswered { .. }
                | event::Event::JobStarted(_)
                | event::Event::LinesDone(_)
                | event::Event::JobFinished { .. }
                | event::Event::JobUndone(_)
                | event::Event::DayStarted { .. } => {}
            }
        }
        if !places.is_empty() {
            events.push(Effect::Public(PublicEvent::StockChanged { lines: places.into_iter().collect() }));
        }
        if events.is_empty() {
            return Ok(None);
        }
        let (position, recorded_at) = (item.position.to_string(), convert::time(item.recorded_at)?);
        Ok(Some(Entry { position, recorded_at, actor: None, request_id: None, events }))
    }

    fn edited(&self, event: &event::Event, edited: &event::ProductEdited) -> Result<Option<Event>, Problem> {
        let id = edited.id.to_string();
        // What was set may be of a draft: those who may see the product read it.
        let changed = |id| Some(Event::ProductChanged { id, revision: None, changes: Vec::new() });
        Ok(match edited.edit.present {
            // Whoever has shown it must know; of what was never shown, this is a name alone.
            Some(false) => Some(Event::ProductDeleted { id }),
            _ if edited.before.status == Some(Status::Active) && edited.edit.status.is_some() => changed(id),
            _ if !self.sees(&edited.id)? => None,
            Some(true) if edited.edit.status.unwrap_or_default() == Status::Active => Some(convert::event(event)?),
            _ => changed(id),
        })
    }
}
