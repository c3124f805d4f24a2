//! What a world is like: how many clients, how fast they are, what goes wrong and how often. Drawn
//! from the seed, so that some worlds are fair, some hasty, and some last for months.

use crate::chance::Chance;

/// Milliseconds of a day, in microseconds.
pub(crate) const DAY_US: u64 = 24 * 3_600 * 1_000_000;

/// Something that goes wrong, or a turn that things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The machine stops, and comes back later.
    Crash,
    /// The next sync fails.
    SyncError,
    /// The disk takes nothing for a while.
    DiskFull,
    /// Appends take long for a while.
    DiskSlow,
    /// The wall clock steps.
    ClockJump,
    /// The wall clock goes an hour ahead, and later back.
    ClockHour,
    /// No message arrives for a while.
    CutOff,
    /// Everybody asks at once.
    Burst,
    /// Nobody does anything for days; the site may be off.
    Quiet,
    /// Somebody holds hundreds of units at once, and somebody else buys them when the holds end.
    Hoard,
}

/// All but the one that needs a world of its own kind.
const TURNS: [Turn; 9] = [
    Turn::Crash,
    Turn::SyncError,
    Turn::DiskFull,
    Turn::DiskSlow,
    Turn::ClockJump,
    Turn::ClockHour,
    Turn::CutOff,
    Turn::Burst,
    Turn::Quiet,
];

/// What a world is like.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// Nothing goes wrong, and nobody wants anything of his own accord.
    pub(crate) is_still: bool,
    pub(crate) clients: u64,
    pub(crate) skus: u64,
    pub(crate) locations: u64,
    /// Between two intentions of a client.
    pub(crate) think_us: u64,
    /// A message on its way.
    pub(crate) latency_us: u64,
    /// An append on a good day.
    pub(crate) append_us: u64,
    /// A client asks again after this, at first.
    pub(crate) patience_us: u64,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    /// From one intention of a client to the next, when all goes well.
    pub(crate) round_us: u64,
    /// That things take a turn after an intention. They follow what happens and not the time, so
    /// that something goes wrong in a hasty world as often as in a slow one.
    pub(crate) turning: f64,
    /// The turns that occur here, the likely ones more than once.
    pub(crate) turns: Vec<Turn>,
    /// Requests that may wait for the site.
    pub(crate) queue_max: usize,
    /// How long shoppers like to hold, in milliseconds.
    pub(crate) hold_ms: u64,
}

impl Weather {
    /// Where nothing goes wrong and nobody wants anything of his own accord.
    pub(crate) fn still() -> Self {
        Self {
            is_still: true,
            clients: 0,
            skus: 0,
            locations: 0,
            think_us: 0,
            latency_us: 20_000,
            append_us: 2_000,
            patience_us: 1_000_000,
            loss: 0.0,
            duplication: 0.0,
            round_us: 1_000_000,
            turning: 0.0,
            turns: Vec::new(),
            queue_max: 1_000,
            hold_ms: 15 * 60_000,
        }
    }

    /// The weather of a seed.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let clients = chance.within(3..40);
        let think_us = match chance.within(0..10) {
            0..4 => chance.within(500..50_000),
            4..8 => chance.within(50_000..5_000_000),
            _ => chance.within(60_000_000..3_600_000_000),
        };
        let fair = chance.happens(0.1);
        let mut turns = Vec::new();
        for turn in TURNS.into_iter().filter(|_| !fair) {
            if chance.happens(0.75) {
                let weight = if turn == Turn::Crash { 12..24 } else { 1..4 };
                turns.extend(std::iter::repeat_n(turn, usize::try_from(chance.within(weight)).unwrap_or(1)));
            }
        }
        // The crowd must fit into the queue, or the site never sees so many holds fall due at once.
        let hoarding = chance.happens(0.1);
        if hoarding {
            turns.push(Turn::Hoard);
        }
        let latency_us = chance.within(50..20_000);
        let append_us = chance.within(100..5_000);
        let round_us = think_us + 2 * latency_us + append_us;
        // Within the worlds that are usual here, 600 intentions, this is 4 to 40 turns.
        let turning = f64::from(u32::try_from(chance.within(4..40)).unwrap_or(4)) / 600.0;
        Self {
            is_still: false,
            clients,
            skus: chance.within(1..7),
            locations: chance.within(1..4),
            think_us,
            latency_us,
            append_us,
            patience_us: chance.within(50_000..2_000_000),
            loss: if fair { 0.0 } else { [0.0, 0.01, 0.05, 0.2][index(chance)] },
            duplication: if fair { 0.0 } else { [0.0, 0.02, 0.1, 0.3][index(chance)] },
            round_us,
            turning,
            turns,
            queue_max: usize::try_from(if hoarding { 2_000 } else { chance.within(8..200) }).unwrap_or(8),
            hold_ms: match chance.within(0..4) {
                0 => 1_000,
                1 => (think_us / 1_000 * 5).clamp(1_000, 20 * 24 * 3_600_000),
                2 => 15 * 60_000,
                _ => 2 * 24 * 3_600_000,
            },
        }
    }
}

fn index(chance: &mut Chance) -> usize {
    usize::try_from(chance.within(0..4)).unwrap_or(0)
}
