//! Locations.

use super::{Rules, revision};
use crate::event::Event;
use crate::id::LocationId;
use crate::location::Location;
use crate::refusal::{Refusal, Stop};
use crate::text::Title;
use crate::view::{row, rows_of_sites};

impl Rules<'_> {
    pub(super) fn open_location(self, id: &LocationId, name: &Title) -> Result<Vec<Event>, Stop> {
        if !rows_of_sites::<Location>(self.view, id)?.is_empty() {
            return Err(Refusal::AlreadyExists { what: "location", name: id.to_string() }.into());
        }
        Ok(vec![Event::LocationOpened { id: id.clone(), name: name.clone() }])
    }

    pub(super) fn rename_location(
        self,
        id: &LocationId,
        name: &Title,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Stop> {
        self.home_here(id)?;
        let location = row::<Location>(self.view, self.context.site, id)?;
        revision(expected, location.map_or(0, |location| location.revision))?;
        Ok(vec![Event::LocationRenamed { id: id.clone(), name: name.clone() }])
    }
}
