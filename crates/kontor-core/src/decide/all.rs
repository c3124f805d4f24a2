//! Several commands in one entry, and what may be expected of the shelf before them.

use super::{Rules, events, expect_number};
use crate::command::Command;
use crate::event::{Entry, Event};
use crate::fold::{At, apply};
use crate::id::{Actor, LocationId, Position, RequestId, Sku};
use crate::limits::ALL_COMMANDS_MAX;
use crate::overlay::Overlay;
use crate::refusal::{Refusal, Stop};
use crate::stock::StockRow;
use crate::view::row;

impl Rules<'_> {
    /// Decides each command on top of what the ones before it do.
    pub(super) fn all(self, commands: &[Command]) -> Result<Vec<Event>, Stop> {
        if commands.is_empty() {
            return Err(Refusal::Nothing { what: "the list of commands" }.into());
        }
        super::limit("commands", commands.len() as u64, ALL_COMMANDS_MAX as u64)?;
        let mut rows = Overlay::new(self.view);
        let mut decided = Vec::new();
        for (number, command) in (1..).zip(commands) {
            if matches!(command, Command::All(_)) {
                return Err(Refusal::Nothing { what: "a list of commands inside a list" }.into());
            }
            let made = events(&rows, command, self.context)?;
            if number < commands.len() {
                // The last one's effects are seen by nobody here.
                let entry = draft(made);
                let at = At { site: self.context.site, position: Position::START, time: self.context.now };
                apply(&mut rows, at, &entry)?;
                decided.extend(entry.events);
            } else {
                decided.extend(made);
            }
        }
        Ok(decided)
    }

    /// Refuses unless this site's row of the item has been changed so many times.
    pub(super) fn expect_version(self, sku: &Sku, location: &LocationId, version: u64) -> Result<Vec<Event>, Stop> {
        self.item(sku)?;
        self.home(location)?;
        let actual = row::<StockRow>(self.view, self.context.site, (sku, location))?.map_or(0, |row| row.version);
        let signed = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
        expect_number("version", Some(signed(version)), signed(actual))?;
        Ok(Vec::new())
    }
}

impl Rules<'_> {
    /// Folds what was decided, so that something more can be decided on top of it.
    pub(super) fn fold_into(self, rows: &mut Overlay<'_>, events: &[Event]) -> Result<(), Stop> {
        let at = At { site: self.context.site, position: Position::START, time: self.context.now };
        Ok(apply(rows, at, &draft(events.to_vec()))?)
    }

    /// Decides something more on top of events.
    pub(super) fn after<T>(
        self,
        events: &[Event],
        decide: impl FnOnce(Rules<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let mut rows = Overlay::new(self.view);
        self.fold_into(&mut rows, events)?;
        decide(Rules { view: &rows, context: self.context })
    }
}

/// An entry whose rows are looked at by the next decision and then thrown away: nobody reads who asked.
pub(super) fn draft(events: Vec<Event>) -> Entry {
    let request_id = RequestId::parse("draft").expect("a short word is a request id");
    Entry { actor: Actor::timer(), request_id, idempotency: None, events }
}
