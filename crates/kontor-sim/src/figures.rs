//! What happened in a world, in numbers.

use std::fmt;
use std::ops::AddAssign;

macro_rules! figures {
    (@add $total:expr, $more:expr, most) => { $total = $total.max($more) };
    (@add $total:expr, $more:expr,) => { $total += $more };
    ($($(#[$doc:meta])* $name:ident $words:literal $($most:ident)?,)*) => {
        /// What happened in one world, or in many.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Figures { $($(#[$doc])* pub $name: u64,)* }

        impl AddAssign for Figures {
            fn add_assign(&mut self, more: Self) { $(figures!(@add self.$name, more.$name, $($most)?);)* }
        }

        impl Figures {
            /// The figures by name, in the order in which they are shown.
            pub fn named(&self) -> Vec<(&'static str, u64)> { vec![$(($words, self.$name),)*] }
        }
    };
}

figures! {
    /// Time that passed in the worlds, in seconds.
    simulated_s "simulated seconds",
    /// The same without times in which nothing happens for more than a second.
    busy_s "simulated seconds, without idle ones",
    /// Worlds of several sites.
    of_several "worlds of several sites",
    /// Worlds in which sites could not reach each other for a while.
    with_cuts "worlds in which links were cut",
    /// What clients set out to do.
    intentions "intentions of clients",
    /// Requests that clients sent, repeats included.
    requests "requests sent",
    /// Messages of clients that the network lost.
    lost "messages of clients lost",
    /// Messages of clients that the network delivered twice.
    duplicated "messages of clients doubled",
    /// Messages of clients that took long.
    late "messages of clients delayed",
    /// Requests that had an effect, by the journal.
    effects "effects in the journal",
    /// Answers that told of an effect.
    acknowledged "acknowledged",
    /// Answers that repeated an earlier one.
    replayed "replayed",
    /// Answers of the domain that said no.
    refused "refused",
    /// Sales that were refused although other sites held units, as far as was known there.
    refused_here "sales refused, units elsewhere",
    /// Sales at locations of other sites.
    sold_elsewhere "sales at another site's location",
    /// Asks, grants and refusals of shares of shelves.
    asks "shares asked for",
    /// Shares given.
    grants "shares given",
    /// Shares declined.
    declines "shares declined",
    /// Transfers of units from one location to another that were asked for.
    transfers "transfers asked for",
    /// Those whose locations have homes at different sites.
    transfers_between "transfers between sites",
    /// Transfers for which units were to be borrowed.
    transfers_borrowed "transfers that had to borrow",
    /// Transfers that were declined.
    transfers_declined "transfers declined",
    /// Transfers that their asker took back.
    transfers_withdrawn "transfers withdrawn",
    /// Transfers whose confirm came too late.
    transfers_lapsed "transfers lapsed",
    /// Transfers that arrived.
    transfers_received "transfers received",
    /// Units that were handed out for transfers and did not arrive.
    lost_on_the_way "units lost on the way",
    /// Rounds of reading until nobody had anything to say any more.
    rounds "rounds until all rest",
    /// The same, of the world that took most.
    rounds_most "most rounds of a world" most,
    /// Answers that nothing was written or that too many wait.
    turned_away "turned away (full disk or queue)",
    /// Groups that became durable.
    groups "groups",
    /// Times when a site asked another for its journal.
    polls "journals asked for",
    /// Groups that came from other sites, repeats included.
    brought "groups brought from other sites",
    /// Times when a site asked for a journal through another site.
    relayed "journals asked for through others",
    /// Times when a store gave its journal.
    given "journals given by stores",
    /// Groups of other sites that were folded.
    foreign_groups "groups of other sites folded",
    /// Messages that sites sent each other.
    sent_between "messages between sites",
    /// Those that were lost by chance.
    lost_between "messages between sites lost",
    /// Those that set out or arrived while the link was cut.
    cut_between "messages between sites cut off",
    /// Those that arrived twice.
    doubled_between "messages between sites doubled",
    /// Those that took long.
    late_between "messages between sites delayed",
    /// Those that arrived after one that set out later.
    overtaken "messages between sites overtaken",
    /// Links that carried nothing for a while, in one direction.
    cuts_one_way "links cut one way",
    /// Links that carried nothing for a while.
    cuts_both_ways "links cut both ways",
    /// The same for much of the world.
    long_cuts "links cut for long",
    /// Sites that nobody could reach for days.
    sites_away "sites away for days",
    /// Links that were cut and healed again and again.
    flapping "links that flap",
    /// Links that were slow for a while, in one direction.
    slow_links "slow links",
    /// Sites all of whose links were slow for a while.
    slow_peers "slow peers",
    /// Edits of products that several sites edit.
    common_edits "edits of common products",
    /// Values of such products that were set without knowledge of each other, open or settled.
    conflicts "conflicts, all on the list",
    /// Appends that a full disk did not take.
    appends_failed "appends refused by a full disk",
    /// Syncs that failed.
    sync_errors "fsync errors",
    /// Groups whose outcome was in doubt and that were found in the journal.
    found_again "groups in doubt found in the journal",
    /// Stops without warning.
    crashes "crashes",
    /// Starts that were cut off in the middle.
    starts_cut_off "starts cut off",
    /// Starts.
    starts "starts",
    /// Starts with tables older than they had been.
    rolled_back "starts with older tables",
    /// Starts without tables.
    rebuilds "rebuilds from the first group",
    /// Groups that were folded again in starts.
    refolded "groups folded at starts",
    /// Times when the disk was full.
    disk_full "times of a full disk",
    /// Times when the disk was slow.
    disk_slow "times of a slow disk",
    /// Times when nobody could reach the site.
    cut_off "times of a dead network",
    /// Steps of the wall clock.
    clock_jumps "clock jumps",
    /// Times when the wall clock was an hour ahead for a while.
    clock_hours "clocks an hour ahead, and back",
    /// Times when everybody asked at once.
    bursts "bursts",
    /// Times when somebody held hundreds of units.
    hoards "crowds of holds",
    /// Times when nobody did anything for days.
    quiet_days "quiet times of days",
    /// Journal days that were started.
    days "journal days started",
    /// Holds that ran out.
    expired "holds that ran out",
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named().iter().try_for_each(|(name, value)| writeln!(f, "  {name:<38} {value:>14}"))
    }
}

impl Figures {
    /// What so many worlds should have tried and have not: a promise is not tried by what hardly ever
    /// happens.
    pub fn lacking(&self, worlds: u64) -> Vec<String> {
        let named = self.named().into_iter().map(|(name, times)| {
            let least = match name {
                "crashes" => 6 * worlds,
                "simulated seconds, without idle ones" => 10 * worlds,
                "most rounds of a world" => 1,
                _ => worlds / 30,
            };
            (name, times, least)
        });
        let lacking = named.filter(|(_, times, least)| times < least);
        lacking.map(|(name, times, least)| format!("{name}: {times}, and should be {least}")).collect()
    }
}
