//! What a site does for itself.

use super::Rules;
use crate::access::{AccessKey, Role};
use crate::event::Event;
use crate::refusal::{Refusal, Stop};
use crate::site::SiteRow;
use crate::view::row;

impl Rules<'_> {
    pub(super) fn create_key(self, id: &str, role: Role, digest: [u8; 32]) -> Result<Vec<Event>, Stop> {
        if row::<AccessKey>(self.view, self.context.site, id)?.is_some() {
            return Err(Refusal::AlreadyExists { what: "key", name: id.to_owned() }.into());
        }
        Ok(vec![Event::KeyCreated { id: id.into(), role, digest }])
    }

    /// Nothing, if the day has started already.
    pub(super) fn start_day(self) -> Result<Vec<Event>, Stop> {
        let today = self.context.now.day();
        let started = row::<SiteRow>(self.view, self.context.site, ())?.is_some_and(|site| site.day >= today);
        Ok(if started { vec![] } else { vec![Event::DayStarted { day: today }] })
    }
}
