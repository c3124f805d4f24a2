//! Mistakes that are planted on purpose, between the site and the world, to show that the oracle
//! sees such mistakes. None of them touches the code of the site itself.

/// A mistake of whoever drives the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// The disk is not synced before the append is called durable.
    AckBeforeSync,
    /// A crash takes the newest acknowledged group with it, and the tables that knew it.
    LoseGroup,
    /// Some remembered keys are not written to the tables.
    ForgetKey,
    /// Site time is whatever the wall clock says.
    FollowWallClock,
    /// The site is told a time that has passed, so that holds end late.
    LateTime,
    /// A start folds the last group twice.
    FoldTwice,
    /// Some shelves forget what is reserved of them, so that it is sold again.
    ForgetHolds,
    /// Some groups are not written to the tables, and later ones are.
    SkipTables,
    /// A start leaves the last group of the journal out.
    StopShort,
    /// A crash takes the newest groups that were kept of other sites with it.
    LoseCopy,
    /// Some rows of other sites are not written to the tables, and later ones are.
    SkipForeign,
    /// Groups of other sites are folded, and some are not kept.
    FoldUnkept,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AckBeforeSync,
        Self::LoseGroup,
        Self::ForgetKey,
        Self::FollowWallClock,
        Self::LateTime,
        Self::FoldTwice,
        Self::ForgetHolds,
        Self::SkipTables,
        Self::StopShort,
        Self::LoseCopy,
        Self::SkipForeign,
        Self::FoldUnkept,
    ];

    /// Whether only worlds of several sites can show it: every fourth.
    pub fn is_between_sites(self) -> bool {
        matches!(self, Self::LoseCopy | Self::SkipForeign | Self::FoldUnkept)
    }
}
