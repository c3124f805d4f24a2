//! What the machine writes to the tables and what a stop takes, with the mistakes that are planted there.

use kontor_core::fold;
use kontor_core::group;
use kontor_core::id::SiteId;
use kontor_core::overlay::{Changes, Overlay};
use kontor_core::record::{Table, decode, encode};
use kontor_core::stock::StockRow;
use kontor_site::folded::Folded;
use kontor_site::rows::WriterRows;
use kontor_storage::journal::JournalReader;
use kontor_storage::tables::{self, Batch};

use super::Machine;
use super::images::Images;
use crate::oracle::{Kept, broken};
use crate::plant::{self, Plant, shortened};

impl Machine {
    /// Writes rows, and remembers what was written: a stop may take the tables back to before.
    pub(super) fn keep_write(&mut self, site: &SiteId, changes: &Changes, folded: &Folded) -> Kept {
        let Some(running) = &self.running else { return Ok(()) };
        let rows = running.step.rows();
        if self.plant == Some(Plant::SkipForeign) && *site != self.site && self.chance.happens(0.05) {
            return Ok(());
        }
        let changes = &plant::in_rows(self.plant, &self.site, site, changes, rows);
        let written = rows.write(changes, folded.encode(), site);
        written.map_err(|error| broken("tables in memory can be written", "a write", error))?;
        self.images.written(site, changes, folded, rows.tables());
        Ok(())
    }

    pub(super) fn write(&mut self, changes: &Changes, folded: &Folded) -> Kept {
        if self.plant == Some(Plant::SkipTables) && self.chance.happens(0.05) {
            return Ok(());
        }
        self.keep_write(&self.site.clone(), changes, folded)?;
        let Some(running) = &self.running else { return Ok(()) };
        let rows = running.step.rows();
        match self.plant {
            Some(Plant::ForgetKey) => {
                let mut batch = Batch::new();
                for answers in 14..22 {
                    for (key, _) in changes.of(Table(answers)).filter(|(_, value)| value.is_some()) {
                        if self.chance.happens(0.5) {
                            batch.delete(tables::Table(answers), key.clone());
                        }
                    }
                }
                rows.tables().write(batch).map_err(|error| broken("planted", "a write", error))
            }
            Some(Plant::ForgetHolds) => {
                let mut overlay = Overlay::new(rows);
                for (key, value) in changes.of(Table::STOCK) {
                    let row = value.and_then(|value| decode::<StockRow>(Table::STOCK, value).ok());
                    if let Some(row) = row.filter(|row| row.reserved > 0) {
                        overlay.put(Table::STOCK, key.to_vec(), encode(&StockRow { reserved: 0, ..row }));
                    }
                }
                let written = rows.write(&overlay.into_changes(), folded.encode(), &self.site);
                written.map_err(|error| broken("planted", "a write", error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn plant_lose_group(&mut self) {
        if self.plant == Some(Plant::LoseCopy) {
            self.copies.values_mut().for_each(|disk| *disk = shortened(disk));
        }
        if self.plant == Some(Plant::RollBack) && self.chance.happens(0.5) {
            // The whole image of the machine is one of before.
            self.disk = plant::first(&self.disk, self.disk.end() / 2);
            self.copies.values_mut().for_each(|disk| *disk = plant::first(disk, disk.end() / 2));
            self.images = Images::new();
        }
        if self.plant != Some(Plant::LoseGroup) || self.chance.happens(0.5) || self.disk.end() == 0 {
            return;
        }
        self.disk = shortened(&self.disk);
        self.images = Images::new();
    }

    pub(super) fn plant_fold_twice(&self, rows: &WriterRows, end: &Folded) -> Kept {
        if self.plant != Some(Plant::FoldTwice) || end.seq == 0 {
            return Ok(());
        }
        let last = self.disk.read(end.seq - 1, 1, 1).map_err(|error| broken("planted", "a group", error))?;
        let Some((_, bytes)) = last.first() else { return Ok(()) };
        let group = group::decode(bytes).map_err(|error| broken("planted", "a group", error))?;
        let changes = fold::changes_of(rows, &group).map_err(|error| broken("planted", "changes", error))?;
        debug_assert_eq!(group::digest(bytes), end.digest);
        rows.write(&changes, end.encode(), &self.site).map_err(|error| broken("planted", "a write", error))
    }
}
