//! Commands that are decided and never done: what would happen, by the very rules that would decide it.

use kontor_core::command::{Command, Context, Request};
use kontor_core::decide::{self, Decision};
use kontor_core::event::{Entry, Event};
use kontor_core::fold::{self, At};
use kontor_core::id::{Actor, Position, RequestId, SiteId};
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::refusal::Stop;
use kontor_core::time::SiteTime;
use kontor_core::view::View;

use crate::rows::SnapshotRows;
use crate::step::NotDone;

/// Rows at one moment, with what was rehearsed so far on top. Grows with what is rehearsed.
pub struct Rehearsal {
    rows: SnapshotRows,
    changes: Changes,
    here: SiteId,
    now: SiteTime,
}

impl Rehearsal {
    pub(crate) fn new(rows: SnapshotRows, here: SiteId, now: SiteTime) -> Self {
        Self { rows, changes: Changes::default(), here, now }
    }

    /// What would happen if this were asked for now, after all that was rehearsed before.
    pub fn decide(&mut self, command: &Command) -> Result<Vec<Event>, NotDone> {
        self.decide_by([0; 16], |rows, context| decide::events(rows, command, context))
    }

    /// What a request would do now: nothing, if it was done before under its key.
    pub fn decide_request(&mut self, request: &Request) -> Result<Vec<Event>, NotDone> {
        self.decide_by(request.fresh_id, |rows, context| {
            Ok(match decide::decide(rows, request, context)? {
                Decision::Events(events) => events,
                Decision::Repeat(_) => Vec::new(),
            })
        })
    }

    fn decide_by(
        &mut self,
        fresh_id: [u8; 16],
        decide: impl FnOnce(&dyn View, Context<'_>) -> Result<Vec<Event>, Stop>,
    ) -> Result<Vec<Event>, NotDone> {
        let earliest_due = SiteTime::default();
        let context = Context { now: self.now, site: &self.here, fresh_id, earliest_due, heard: &[] };
        let mut rows = Overlay::with(&self.rows, std::mem::take(&mut self.changes));
        let decided = decide(&rows, context);
        let done = match decided {
            Ok(events) => {
                let word = |text| RequestId::parse(text).expect("a short word is a request id");
                let (actor, request_id) = (Actor::timer(), word("rehearsal"));
                let entry = Entry { actor, request_id, idempotency: None, events };
                let at = At { site: &self.here, position: Position::START, time: self.now };
                let folded = fold::apply(&mut rows, at, &entry);
                folded.map(|()| entry.events).map_err(|error| NotDone::Failed(error.to_string()))
            }
            Err(Stop::Refused(refusal)) => Err(refusal.into()),
            Err(Stop::Failed(error)) => Err(NotDone::Failed(error.to_string())),
        };
        self.changes = rows.into_changes();
        done
    }
}
