//! Text tables that a shopkeeper can read: what was asked, what was answered, what is on the shelf.

use kontor_core::command::{Change, Command, Idempotency, Inbound, Line, Note};
use kontor_core::event::{Event, Moved};
use kontor_core::group::Digest;
use kontor_core::id::{JobId, OfferId, Owner, ProductId, ReservationId};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Policy, Selling, Status};
use kontor_core::quantity::Quantity;
use kontor_core::refusal::{Fact, Refusal};
use kontor_core::site::SiteKind;
use kontor_core::text::{Reason, Reference, Title};
use kontor_core::time::SiteTime;

use super::{Answer, DAY_MS, DAY_ONE, Shop, catalog, place, sku};

/// Plays a table and compares it with what happens.
///
/// The head names the items whose levels are shown after each row, as `on_hand reserved committed
/// available`. An item is `apples`, at the location `shop`, or `apples@cellar`. Every story begins
/// with these two locations and with
///
/// ```text
/// apples, pears   reserve_on_order          ice    track_only        cards   none
/// milk            … and 5 on backorder      cream  reserve_on_cart   plums   archived, 9 in the shop
/// ```
#[track_caller]
pub(crate) fn check(table: &str) {
    let mut rows = table.lines().map(str::trim).filter(|line| !line.is_empty()).map(cells);
    let head = rows.next().expect("a head");
    let mut shop = opened();
    let mut told = vec![head.clone()];
    let mut expected = vec![head.clone()];
    for row in rows {
        shop.now = moment(&row[0]);
        let answer = told_of(play(&mut shop, &row[1]));
        shop.audit();
        let levels = head[3..].iter().map(|item| {
            let (sku, location) = item.split_once('@').unwrap_or((item, "shop"));
            let level = shop.tables.level(sku, location, &shop.site);
            format!("{} {} {} {}", level.on_hand, level.reserved, level.committed, level.available)
        });
        told.push([row[0].clone(), row[1].clone(), answer].into_iter().chain(levels).collect());
        let width = head.len();
        expected.push(row.into_iter().chain(std::iter::repeat(String::new())).take(width).collect());
    }
    let (told, expected) = (aligned(&told), aligned(&expected));
    assert!(told == expected, "expected\n{expected}\nbut it went\n{told}");
}

/// The shop at the start of every story.
pub(crate) fn opened() -> Shop {
    let mut shop = Shop::among("main", &["main", "west"]);
    let setup = "location shop; location cellar; product apples; product pears; product ice track_only;
                 product cards none; product milk reserve_on_order backorder 5; product cream reserve_on_cart;
                 product plums; receive 9 plums; archive plums";
    for command in setup.split(';') {
        match play(&mut shop, command.trim()) {
            Answer::Done(_) => {}
            other => panic!("{command}: {other:?}"),
        }
    }
    shop
}

/// Gives one command, written in words.
pub(crate) fn play(shop: &mut Shop, text: &str) -> Answer {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut key = None;
    if let Some(at) = words.iter().position(|word| *word == "key") {
        let name = words[at + 1];
        words.truncate(at);
        let half = |text: &str| -> [u8; 16] { Digest::of(text.as_bytes()).0[..16].try_into().expect("16 bytes") };
        key = Some(Idempotency { scope: half(name), fingerprint: half(&words.join(" ")) });
    }
    if words == ["tick"] {
        let ids = shop.due();
        return shop.ask(Command::EndDueHolds { ids }, key);
    }
    if let ["ship-order", order] = words[..] {
        let row = shop.tables.all::<kontor_core::order::Order>().into_iter();
        let row = row.map(|(key, row)| (hold_name(ReservationId(key[..16].try_into().expect("16 bytes"))), row));
        let reservation = row.filter(|(name, _)| name == order).map(|(_, row)| row.reservation).next();
        let reservation = reservation.unwrap_or(hold("nothing"));
        return shop.ask(Command::Ship { reservation, lines: None, note: Note::default() }, key);
    }
    let mut commands: Vec<Command> = words.split(|word| *word == "&").map(command).collect();
    let wanted = if commands.len() > 1 { Command::All(commands) } else { commands.remove(0) };
    shop.ask(wanted, key)
}

/// Gives a command that must be done for the story to go on.
#[track_caller]
pub(crate) fn play_done(shop: &mut Shop, command: &str) {
    let answer = play(shop, command);
    assert!(matches!(answer, Answer::Done(_)), "{command:.80}: {answer:?}");
}

fn command(words: &[&str]) -> Command {
    let after = |word: &str| words.iter().position(|of| *of == word).map(|at| words[at + 1]);
    let note = Note {
        reference: after("ref").map(|text| Reference::parse(text).expect("a reference")),
        reason: after("because").map(|text| Reason::parse(text).expect("a reason")),
        occurred_at: after("occurred").map(moment),
    };
    let number = |word: &str| after(word).map(|text| text.parse::<u64>().expect("a number"));
    let selling = |default: Selling| {
        let policy = words.iter().find_map(|word| policy(word)).unwrap_or(default.policy);
        Selling { policy, backorder_limit: number("backorder").unwrap_or(default.backorder_limit) }
    };
    let title = || after("title").map(|text| Title::parse(text).expect("a title"));
    let (expected, id) = (number("revision"), || product(words[1]));
    match words[0] {
        "location" => Command::OpenLocation { id: place(words[1]), name: name(words[1]) },
        "rename" => Command::RenameLocation { id: place(words[1]), name: name(words[2]), expected },
        "product" => Command::create_product(
            after("id").map(product),
            sku(words[1]),
            name(words[1]),
            selling(Selling::default()),
        ),
        "change" => Command::change_product(id(), ProductEdit { title: title(), ..Default::default() }, expected),
        "archive" => Command::change_product(id(), with_status(Status::Archived), expected),
        "activate" => Command::change_product(id(), with_status(Status::Active), expected),
        "draft" => Command::change_product(id(), with_status(Status::Draft), expected),
        "delete" => Command::DeleteProduct { id: id(), expected },
        "edit" => Command::change_product(id(), catalog::edit(&words[2..]), expected),
        "list" => {
            let (market, edit) = catalog::listing(&words[2..]);
            Command::EditListing { id: id(), market, edit: Box::new(edit), expected }
        }
        "variant" => {
            let selling = Some(selling(Selling::default()).into());
            Command::add_variant(
                id(),
                VariantEdit { title: title().map(Some), selling, ..VariantEdit::of(sku(words[2])) },
            )
        }
        "sell" => {
            let set = words.iter().any(|word| policy(word).is_some() || *word == "backorder");
            let selling = set.then(|| selling(Selling::default()).into());
            let variant = VariantEdit { title: title().map(Some), selling, ..VariantEdit::of(sku(words[2])) };
            let nothing = variant == VariantEdit::of(sku(words[2]));
            let variants = if nothing { vec![] } else { vec![variant] };
            Command::change_product(id(), ProductEdit { variants, ..Default::default() }, expected)
        }
        "receive" => Command::Receive { from: Inbound::Delivery, lines: lines(&words[1..]), note },
        "return" => Command::Receive { from: Inbound::Return, lines: lines(&words[1..]), note },
        "issue" => Command::Issue { lines: lines(&words[1..]), note },
        "ship" => {
            let some = lines(&words[2..]);
            Command::Ship { reservation: hold(words[1]), lines: (!some.is_empty()).then_some(some), note }
        }
        "write-off" => {
            let line = lines(&words[1..]).remove(0);
            Command::WriteOff { line, from_unavailable: words.contains(&"set-aside"), note }
        }
        "count" => {
            let (sku, location) = item(words[2]);
            let expected = after("expected").map(|text| text.parse().expect("a number"));
            Command::Count { sku, location, counted: words[1].parse().expect("a number"), expected, note }
        }
        "adjust" => {
            let (sku, location) = item(words[1]);
            let change = |word: &str| {
                let to = number(word)?;
                let at = words.iter().position(|of| *of == word).expect("it was found") + 2;
                let was = words.get(at).filter(|word| **word == "was");
                Some(Change { to, expected: was.map(|_| words[at + 1].parse().expect("a number")) })
            };
            let (unavailable, safety_stock) = (change("set-aside"), change("keep-back"));
            Command::Adjust { sku, location, unavailable, safety_stock }
        }
        "reserve" => {
            let owner = after("owner").map(|text| Owner::parse(text).expect("an owner"));
            let hold_ms = after("for").map_or(900_000, span);
            Command::Reserve { id: Some(hold(words[1])), owner, lines: lines(&words[2..]), hold_ms }
        }
        "extend" => Command::Extend { id: hold(words[1]), hold_ms: after("for").map_or(900_000, span) },
        "commit" => Command::Commit { id: hold(words[1]) },
        "release" => Command::Release { id: hold(words[1]) },
        "start-day" => Command::StartDay,
        "be-a-store" => Command::DescribeSite { kind: SiteKind::Store },
        "tend" => Command::TendQuota { items: vec![item(words[1])] },
        "borrow" => {
            let (sku, location) = item(words[2]);
            Command::BorrowQuota { sku, location, missing: words[1].parse().expect("a number") }
        }
        "transfer" => Command::AskTransfer {
            id: Some(offer(words[1])),
            from: place(after("from").expect("a location")),
            to: place(after("to").expect("a location")),
            lines: lines(&words[2..]).into_iter().map(|line| (line.sku, line.quantity)).collect(),
            reason: note.reason,
        },
        "withdraw" => Command::WithdrawTransfer { id: offer(words[1]) },
        "dispatch" => Command::DispatchTransfer { id: offer(words[1]), note },
        "arrive" => {
            let received = words[2..].chunks(2).map(|pair| (sku(pair[1]), pair[0].parse().expect("a number")));
            Command::ReceiveTransfer { id: offer(words[1]), received: received.collect(), note }
        }
        "tend-offer" => Command::TendOffer { id: offer(words[1]), asker: super::site(words[2]) },
        "expect-version" => {
            let (sku, location) = item(words[2]);
            Command::ExpectVersion { sku, location, version: words[1].parse().expect("a number") }
        }
        other => super::orders::command(words).unwrap_or_else(|| panic!("no such command: {other}")),
    }
}

/// `4 apples + 2 pears@cellar`, up to the first other word.
pub(crate) fn lines(words: &[&str]) -> Vec<Line> {
    let mut found = Vec::new();
    let mut words = words.iter().filter(|word| **word != "+");
    while let Some(quantity) = words.next().and_then(|word| word.parse().ok()) {
        let (sku, location) = item(words.next().expect("an item"));
        found.push(Line { sku, location, quantity: Quantity::new(quantity).expect("a quantity") });
    }
    found
}

fn item(word: &str) -> (kontor_core::id::Sku, kontor_core::id::LocationId) {
    let (name, location) = word.split_once('@').unwrap_or((word, "shop"));
    (sku(name), place(location))
}

fn policy(word: &str) -> Option<Policy> {
    Some(match word {
        "none" => Policy::None,
        "none_until_received" => Policy::NoneUntilReceived,
        "track_only" => Policy::TrackOnly,
        "reserve_on_order" => Policy::ReserveOnOrder,
        "reserve_on_cart" => Policy::ReserveOnCart,
        _ => return None,
    })
}

fn name(word: &str) -> Title {
    Title::parse(word).expect("a name")
}

fn product(word: &str) -> ProductId {
    ProductId::parse(word).expect("a product id")
}

/// `r1` as an id; what a site has named itself is called by its number, `h7`.
pub(crate) fn hold(word: &str) -> ReservationId {
    let mut id = [0; 16];
    if let Some(number) = word.strip_prefix('h').and_then(|number| number.parse::<u64>().ok()) {
        id[8..].copy_from_slice(&number.to_be_bytes());
        return ReservationId(id);
    }
    id[..word.len()].copy_from_slice(word.as_bytes());
    ReservationId(id)
}

pub(crate) fn hold_name(id: ReservationId) -> String {
    if let Some(number) = id.0.strip_prefix(&[0; 8]) {
        return format!("h{}", number.iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte)));
    }
    String::from_utf8_lossy(&id.0).trim_end_matches('\0').to_owned()
}

/// `t1` as an id; the hold of its units is called the same.
pub(crate) fn offer(word: &str) -> OfferId {
    OfferId(hold(word).0)
}

/// `2d`, `15m`, `14m59s999ms`: since the story's first midnight.
pub(crate) fn moment(text: &str) -> SiteTime {
    SiteTime(DAY_ONE * DAY_MS).plus(span(text))
}

pub(crate) fn span(text: &str) -> u64 {
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).expect("a unit");
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let ms = match &unit[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => DAY_MS,
            other => panic!("no such unit: {other}"),
        };
        total += number.parse::<u64>().expect("a number") * ms;
        rest = &unit[end..];
    }
    total
}

fn spell(at: SiteTime) -> String {
    let mut rest = at.0 - DAY_ONE * DAY_MS;
    let mut text = String::new();
    for (ms, unit) in [(DAY_MS, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if rest >= ms {
            text += &format!("{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

pub(crate) fn told_of(answer: Answer) -> String {
    let all = |events: &[Event]| match events {
        [] => "nothing".to_owned(),
        events => events.iter().map(told).collect::<Vec<_>>().join("; "),
    };
    match answer {
        Answer::Done(events) => all(&events),
        Answer::Again(events) => format!("again: {}", all(&events)),
        Answer::No(refusal) => no(&refusal),
        Answer::Failed(why) => format!("FAILED: {why}"),
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::StockMoved { lines, .. } => lines.iter().map(line).collect::<Vec<_>>().join(", "),
        Event::StockAdjusted { unavailable, safety_stock, .. } => {
            format!("{unavailable} set aside, {safety_stock} kept back")
        }
        Event::ReservationMade { id, expires_at, .. } | Event::ReservationExtended { id, expires_at, .. } => {
            format!("{} held until {}", hold_name(*id), spell(*expires_at))
        }
        Event::ReservationEnded { id, status, .. } => format!("{} {}", hold_name(*id), status.word()),
        Event::ProductEdited(edited) => match edited.edit.present {
            Some(true) => format!("product {}", edited.id),
            Some(false) => format!("{} deleted", edited.id),
            None => format!("{} revision {}", edited.id, edited.revision),
        },
        Event::ListingEdited(edited) => format!("{} in {} revision {}", edited.id, edited.market, edited.revision),
        Event::JobStarted(started) => format!("{} begins", job_name(started.id)),
        Event::LinesDone(done) => format!("lines {} to {}", done.from_line, done.through_line),
        Event::JobFinished { id } => format!("{} finished", job_name(*id)),
        Event::JobUndone(undone) => format!("{} put back from line {}", job_name(undone.id), undone.from_line),
        Event::LocationOpened { id, .. } => format!("location {id}"),
        Event::LocationRenamed { id, name } => format!("{id} is called {name}"),
        Event::DayStarted { day } => format!("day {}", day - DAY_ONE),
        Event::KeyCreated { id, .. } => format!("key {id}"),
        Event::SiteDescribed { kind } => format!("is a {kind:?}").to_lowercase(),
        Event::QuotaAsked { sku, of, ask, .. } if ask.wanted > 0 => {
            format!("asks {of} for {} {sku} in all, {} for a buyer", ask.units, ask.wanted)
        }
        Event::QuotaAsked { sku, of, ask, .. } => format!("asks {of} for {} {sku} in all", ask.units),
        Event::QuotaGranted { sku, to, units, .. } => format!("gives {to} {units} {sku} in all"),
        Event::QuotaDeclined { sku, to, units, .. } => format!("declines {to} {units} {sku} in all"),
        Event::TransferAsked { id, of, .. } => format!("{} asked of {of}", offer_name(*id)),
        Event::TransferSaid { id, said } => format!("{} {}", offer_name(*id), spoken(said)),
        Event::TransferAnswered { id, answer: kontor_core::offer::Answer::Borrowing(until), .. } => {
            format!("{} borrowing until {}", offer_name(*id), spell(*until))
        }
        Event::TransferAnswered { id, answer, .. } => format!("{} {}", offer_name(*id), spoken(answer)),
        other => super::orders::told(other).unwrap_or_else(|| panic!("no words for {other:?}")),
    }
}

fn offer_name(id: OfferId) -> String {
    hold_name(ReservationId(id.0))
}

fn spoken(word: &dyn std::fmt::Debug) -> String {
    format!("{word:?}").to_lowercase()
}

fn with_status(status: Status) -> ProductEdit {
    ProductEdit { status: Some(status), ..Default::default() }
}

fn job_name(id: JobId) -> String {
    String::from_utf8_lossy(&id.0).trim_end_matches('\0').to_owned()
}

fn line(moved: &Moved) -> String {
    let at = if moved.location.as_str() == "shop" { String::new() } else { format!("@{}", moved.location) };
    match moved.change {
        0 => format!("{}{at} {} and no change", moved.sku, moved.quantity),
        change => format!("{}{at} {change:+}", moved.sku),
    }
}

fn no(refusal: &Refusal) -> String {
    let facts = refusal.facts().into_iter().filter_map(|(name, fact)| {
        Some(match (name, fact) {
            ("location", Fact::Text(location)) if location == "shop" => return None,
            ("reservation" | "name", Fact::Text(id)) if id.starts_with("res_") => {
                hold_name(ReservationId::parse(&id).expect("an id"))
            }
            ("transfer" | "name", Fact::Text(id)) if id.starts_with("trf_") => {
                offer_name(OfferId::parse(&id).expect("an id"))
            }
            ("cart" | "order" | "payment" | "customer" | "name", Fact::Text(id))
                if super::orders::fact(&id).is_some() =>
            {
                super::orders::fact(&id)?
            }
            ("sku" | "option" | "status_now" | "what" | "name" | "field" | "product_id", Fact::Text(text)) => text,
            ("position", _) => return None,
            (name, Fact::Text(text)) => format!("{name} {text}"),
            (name, Fact::Number(number)) => format!("{name} {number}"),
            (name, Fact::Time(at)) => format!("{name} {}", spell(at)),
        })
    });
    let facts: Vec<String> = facts.collect();
    format!("no: {} {}", refusal.code(), facts.join(" ")).trim_end().to_owned()
}

pub(crate) fn cells(row: &str) -> Vec<String> {
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(String::len).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:width$}", width = width(at)));
        cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
