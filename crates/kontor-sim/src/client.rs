//! Clients: each wants something, asks for it under a key, and asks again until it knows.

mod clerk;

use kontor_core::access::Role;
use kontor_core::command::{Change, Command, Idempotency, Inbound, Line, Note, Request};
use kontor_core::group::Digest;
use kontor_core::id::{Actor, LocationId, Owner, ProductId, RequestId, ReservationId, SiteId, Sku};
use kontor_core::product::edit::{ProductEdit, VariantEdit};
use kontor_core::product::{Policy, Selling, Status};
use kontor_core::quantity::Quantity;
use kontor_core::text::{Reason, Reference, Title};
use kontor_site::step::{Answer, NotDone};

use crate::chance::Chance;
use crate::oracle::shop::Shop;
use crate::weather::Weather;

/// What a client does for a living.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trade {
    Cashier,
    Shopper,
    Receiver,
    Counter,
    Breaker,
    Adjuster,
    Editor,
    Shipper,
    Clerk,
}

/// By how many of them there are.
const TRADES: [Trade; 18] = [
    Trade::Editor,
    Trade::Receiver,
    Trade::Shopper,
    Trade::Clerk,
    Trade::Cashier,
    Trade::Shipper,
    Trade::Shopper,
    Trade::Receiver,
    Trade::Counter,
    Trade::Shopper,
    Trade::Cashier,
    Trade::Adjuster,
    Trade::Shopper,
    Trade::Breaker,
    Trade::Clerk,
    Trade::Receiver,
    Trade::Shipper,
    Trade::Editor,
];

/// A client.
pub(crate) struct Client {
    number: usize,
    trade: Trade,
    chance: Chance,
    pub(crate) intents: Vec<Intent>,
    /// The intent that it waits for.
    pub(crate) asking: Option<usize>,
    /// Only the newest alarm wakes a client.
    pub(crate) alarm: u64,
    holds: Vec<ReservationId>,
}

/// Something that a client wants, under a key of its own.
pub(crate) struct Intent {
    pub(crate) command: Command,
    key: Idempotency,
    /// How often it was asked for, in all and since the client last gave up.
    sent: u32,
    pub(crate) tries: u32,
    pub(crate) outcome: Outcome,
}

/// What a client knows of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing: it may have happened.
    Open,
    /// It happened.
    Done,
    /// The domain said no.
    Refused,
}

/// More than the site ends at once by itself.
const HOARD_UNITS: u64 = 400;
const HOARD_MS: u64 = 1_000;

/// What clients can know of each other: names that were agreed on, orders that were placed.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) skus: Vec<Sku>,
    pub(crate) locations: Vec<LocationId>,
    /// What the first client has to set up.
    pub(crate) openings: Vec<Command>,
    pub(crate) made: Vec<ReservationId>,
    pub(crate) ordered: Vec<ReservationId>,
    pub(crate) hold_ms: u64,
    /// What all names of the site begin with, where there are others.
    pub(crate) prefix: String,
    /// Shelves of other sites.
    pub(crate) elsewhere: Vec<(Sku, LocationId)>,
}

impl Board {
    /// The names of a world.
    pub(crate) fn draw(chance: &mut Chance, weather: &Weather, prefix: &str) -> Self {
        let mut board = Self { hold_ms: weather.hold_ms, prefix: prefix.to_owned(), ..Self::default() };
        for number in 0..weather.locations {
            let (id, name) =
                (parse(LocationId::parse(format!("{prefix}shop-{number}"))), title(&format!("Shop {number}")));
            board.locations.push(id.clone());
            board.openings.push(Command::OpenLocation { id, name });
        }
        for number in 0..weather.skus {
            let (sku, title) = (parse(Sku::parse(format!("{prefix}SKU-{number}"))), title(&format!("Thing {number}")));
            board.skus.push(sku.clone());
            let selling = if chance.happens(0.6) { Selling::default() } else { selling(chance) };
            board.openings.push(Command::create_product(None, sku, title, selling));
        }
        board.openings.reverse();
        board
    }

    /// What another site has, whoever opened it.
    pub(crate) fn look_at(&mut self, site: &SiteId, weather: &Weather) {
        for (sku, location) in (0..weather.skus).flat_map(|sku| (0..weather.locations).map(move |at| (sku, at))) {
            let sku = parse(Sku::parse(format!("{site}-SKU-{sku}")));
            self.elsewhere.push((sku, parse(LocationId::parse(format!("{site}-shop-{location}")))));
        }
    }
}

impl Client {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        Self {
            number,
            trade: TRADES[number % TRADES.len()],
            chance: Chance::of(seed, &format!("client {number}")),
            intents: Vec::new(),
            asking: None,
            alarm: 0,
            holds: Vec::new(),
        }
    }

    /// Sets out to do something: something new, or something old once more.
    pub(crate) fn set_out(&mut self, board: &mut Board, shop: &Shop) -> usize {
        let again = self.chance.within(0..self.intents.len() as u64 + 1);
        if self.chance.happens(0.04)
            && let Some(old) = usize::try_from(again).ok().filter(|old| *old < self.intents.len())
        {
            return self.take_up(old);
        }
        let opening = if self.number == 0 { board.openings.pop() } else { None };
        let command = opening.unwrap_or_else(|| self.wish(board, shop));
        let intent = self.want(command);
        self.take_up(intent)
    }

    /// Wants something in particular.
    pub(crate) fn want(&mut self, command: Command) -> usize {
        let fingerprint = short(&format!("{command:?}"));
        let mut scope = short(&format!("client {} intent {}", self.number, self.intents.len()));
        if self.chance.happens(0.02)
            && let Some(old) = self.chance.pick(&self.intents)
        {
            // By mistake under a key that was used before.
            scope = old.key.scope;
        }
        let key = Idempotency { scope, fingerprint };
        self.intents.push(Intent { command, key, sent: 0, tries: 0, outcome: Outcome::Open });
        self.intents.len() - 1
    }

    /// An intent is asked for, perhaps once more.
    pub(crate) fn take_up(&mut self, intent: usize) -> usize {
        self.asking = Some(intent);
        if let Some(intent) = self.intents.get_mut(intent) {
            intent.tries = 0;
        }
        intent
    }

    /// The request to send for an intent, the next time.
    pub(crate) fn request(&mut self, intent: usize) -> Request {
        let fresh_id = self.chance.bytes();
        let of = &mut self.intents[intent];
        of.sent += 1;
        of.tries += 1;
        Request {
            command: of.command.clone(),
            actor: parse(Actor::parse(format!("key:{}", self.number))),
            request_id: parse(RequestId::parse(format!("c{}-{intent}-{}", self.number, of.sent))),
            idempotency: Some(of.key),
            fresh_id,
        }
    }

    /// An answer arrives, perhaps late, perhaps twice. Answers whether the client waited for it and
    /// now knows.
    pub(crate) fn told(&mut self, intent: usize, answer: &Result<Answer, NotDone>, board: &mut Board) -> bool {
        use kontor_core::event::Event;
        use kontor_core::reservation::ReservationStatus;
        let known = match answer {
            Ok(_) => Outcome::Done,
            Err(NotDone::Refused(_)) => Outcome::Refused,
            // The site could not say, or had no room: the client asks again in a while.
            Err(_) => return false,
        };
        let of = &mut self.intents[intent];
        let first = of.outcome == Outcome::Open;
        // A late refusal of an earlier try does not undo what a client knows.
        if of.outcome != Outcome::Done {
            of.outcome = known;
        }
        for event in answer.iter().flat_map(|answer| &answer.events).filter(|_| first) {
            match event {
                Event::ReservationMade { id, .. } => {
                    self.holds.push(*id);
                    board.made.push(*id);
                }
                Event::ReservationEnded { id, status: ReservationStatus::Committed, .. } => board.ordered.push(*id),
                _ => {}
            }
        }
        let waited = self.asking == Some(intent);
        if waited {
            self.asking = None;
        }
        waited
    }

    /// The first intent whose outcome the client does not know.
    pub(crate) fn unresolved(&self) -> Option<usize> {
        self.intents.iter().position(|intent| intent.outcome == Outcome::Open)
    }

    pub(crate) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    fn wish(&mut self, board: &Board, shop: &Shop) -> Command {
        match self.trade {
            Trade::Cashier => {
                let lines = self.lines(board, 4);
                Command::Issue { lines, note: self.note("invoice") }
            }
            Trade::Shopper => self.shop(board),
            Trade::Receiver => {
                let from = if self.chance.happens(0.8) { Inbound::Delivery } else { Inbound::Return };
                let lines = self.lines(board, 30);
                Command::Receive { from, lines, note: self.note("delivery") }
            }
            Trade::Counter => {
                let Line { sku, location, .. } = self.line(board, 2);
                let booked = shop.shelf(&(sku.clone(), location.clone())).on_hand;
                let drift = self.chance.within(0..7).saturating_sub(3);
                let counted = u64::try_from(booked).unwrap_or(0).saturating_sub(1) + drift;
                let expected = self.chance.happens(0.5).then(|| booked + i64::from(self.chance.happens(0.2)));
                Command::Count { sku, location, counted, expected, note: self.note("count") }
            }
            Trade::Breaker => {
                let line = self.line(board, 4);
                let from_unavailable = self.chance.happens(0.4);
                Command::WriteOff { line, from_unavailable, note: self.note("broken") }
            }
            Trade::Adjuster => {
                let Line { sku, location, .. } = self.line(board, 2);
                let shelf = shop.shelf(&(sku.clone(), location.clone()));
                let unavailable = self.change(shelf.unavailable);
                let safety_stock = self.change(shelf.safety_stock);
                Command::Adjust { sku, location, unavailable, safety_stock }
            }
            Trade::Editor => self.edit(board, shop),
            Trade::Clerk => self.transfer(board, shop),
            Trade::Shipper => {
                let all = if self.chance.happens(0.9) { &board.ordered } else { &board.made };
                let (newest, any) = (all.last().copied(), self.chance.pick(all).copied());
                let reservation = if self.chance.happens(0.5) { newest } else { any };
                let reservation = reservation.unwrap_or(ReservationId([7; 16]));
                let lines = self.chance.happens(0.4).then(|| vec![self.line(board, 2)]);
                Command::Ship { reservation, lines, note: self.note("shipment") }
            }
        }
    }

    fn shop(&mut self, board: &Board) -> Command {
        let (newest, any) = (self.holds.last().copied(), self.chance.pick(&self.holds).copied());
        let own = if self.chance.happens(0.7) { newest } else { any };
        let others = if self.chance.happens(0.03) { self.chance.pick(&board.made).copied() } else { None };
        if let Some(id) = others.or(own).filter(|_| self.chance.happens(0.55)) {
            let hold_ms = self.hold_ms(board);
            return match self.chance.within(0..10) {
                0..3 => Command::Extend { id, hold_ms },
                3..7 => Command::Commit { id },
                _ => Command::Release { id },
            };
        }
        let named = self.chance.bytes();
        let id = self.chance.happens(0.3).then_some(ReservationId(named));
        let id = if self.chance.happens(0.02) { self.holds.last().copied().or(id) } else { id };
        let owner = self.chance.happens(0.5).then(|| parse(Owner::parse(format!("cart-{}", self.number))));
        let (mut lines, hold_ms) = (self.lines(board, 5), self.hold_ms(board));
        if !board.elsewhere.is_empty() && self.chance.happens(0.5) {
            // Mostly of the first shelves, as at home.
            let hot = self.chance.happens(0.5);
            let some = if hot { board.elsewhere.first() } else { self.chance.pick(&board.elsewhere) };
            if let (Some(line), Some((sku, location))) = (lines.first_mut(), some.cloned()) {
                (line.sku, line.location) = (sku, location);
            }
        }
        Command::Reserve { id, owner, lines, hold_ms }
    }

    fn edit(&mut self, board: &Board, shop: &Shop) -> Command {
        let ids: Vec<&ProductId> = shop.products.keys().collect();
        let some = self.chance.pick(&ids).map(|id| (*id).clone());
        let id = some.unwrap_or_else(|| self.line(board, 2).sku.into());
        let product = shop.products.get(&id);
        let seen = product.map(|product| product.revision);
        let expected = if self.chance.happens(0.2) { Some(1) } else { seen };
        let name = title(&format!("Edition {}-{}", self.number, self.intents.len()));
        match self.chance.within(0..14) {
            0..3 => Command::change_product(id, ProductEdit { title: Some(name), ..Default::default() }, expected),
            3 => Command::change_product(id, with_status(Status::Archived), expected),
            4..6 => Command::change_product(id, with_status(Status::Active), expected),
            6 => {
                let new = parse(Sku::parse(format!("{id}-{}", self.chance.within(0..4))));
                let selling = Some(selling(&mut self.chance).into());
                Command::add_variant(id, VariantEdit { title: Some(Some(name)), selling, ..VariantEdit::of(new) })
            }
            7..9 => {
                let variants = product.map(|product| product.variants.as_slice()).unwrap_or_default();
                let sku = self.chance.pick(variants).map(|(sku, ..)| sku.clone());
                let sku = sku.unwrap_or_else(|| self.line(board, 2).sku);
                let chosen = selling(&mut self.chance);
                let selling = self.chance.happens(0.5).then_some(chosen.into());
                let variants = vec![VariantEdit { title: Some(Some(name)), selling, ..VariantEdit::of(sku) }];
                Command::change_product(id, ProductEdit { variants, ..Default::default() }, expected)
            }
            9 => Command::create_product(Some(id), self.line(board, 2).sku, name, Selling::default()),
            10 => Command::OpenLocation { id: self.line(board, 2).location, name },
            11 => {
                let location = self.line(board, 2).location;
                let seen = shop.locations.get(&location).map(|(_, revision)| *revision);
                Command::RenameLocation { id: location, name, expected: seen.filter(|_| self.chance.happens(0.7)) }
            }
            12 => Command::CreateKey {
                id: format!("k{}", self.chance.within(0..6)).into(),
                role: Role::Admin,
                digest: [3; 32],
            },
            _ => Command::change_product(id, ProductEdit::default(), None),
        }
    }

    /// What a crowd does: much comes in, all of it is held unit by unit, and somebody buys most of
    /// it the moment the holds have ended. Answers each with the milliseconds to wait before it.
    pub(crate) fn hoard(&mut self, board: &Board) -> Vec<(u64, Command)> {
        let (Some(sku), Some(location)) = (board.skus.first(), board.locations.first()) else { return Vec::new() };
        let lines = |units| {
            let quantity = parse(Quantity::new(units));
            vec![Line { sku: sku.clone(), location: location.clone(), quantity }]
        };
        let (from, note) = (Inbound::Delivery, Note::default());
        let mut wanted = vec![(0, Command::Receive { from, lines: lines(HOARD_UNITS), note })];
        let hold = Command::Reserve { id: None, owner: None, lines: lines(1), hold_ms: HOARD_MS };
        wanted.extend((0..HOARD_UNITS).map(|_| (100 + self.chance.within(0..3), hold.clone())));
        let issue = Command::Issue { lines: lines(HOARD_UNITS * 9 / 10), note: Note::default() };
        wanted.extend((0..60).map(|at| (100 + HOARD_MS + at, issue.clone())));
        wanted
    }

    fn lines(&mut self, board: &Board, most: u64) -> Vec<Line> {
        let count = if self.chance.happens(0.6) { 1 } else { self.chance.within(1..5) };
        (0..count).map(|_| self.line(board, most)).collect()
    }

    /// Mostly of the first items, so that some are hot.
    fn line(&mut self, board: &Board, most: u64) -> Line {
        let hot = self.chance.happens(0.5);
        let sku = if hot { board.skus.first() } else { self.chance.pick(&board.skus) };
        let sku = sku.filter(|_| !self.chance.happens(0.005)).cloned();
        let location = if hot { board.locations.first() } else { self.chance.pick(&board.locations) };
        let location = location.filter(|_| !self.chance.happens(0.005)).cloned();
        Line {
            sku: sku.unwrap_or_else(|| parse(Sku::parse(format!("{}nobody-has-it", board.prefix)))),
            location: location.unwrap_or_else(|| parse(LocationId::parse(format!("{}nowhere", board.prefix)))),
            quantity: parse(Quantity::new(self.chance.within(1..most.max(2)))),
        }
    }

    fn note(&mut self, what: &str) -> Note {
        let number = if self.chance.happens(0.05) { 0 } else { self.intents.len() };
        let reference = self.chance.happens(0.6);
        let reference = reference.then(|| parse(Reference::parse(format!("{what}-{}-{number}", self.number))));
        let reason = self.chance.happens(0.3).then(|| parse(Reason::parse("as agreed")));
        Note { reference, reason, occurred_at: None }
    }

    fn change(&mut self, now: i64) -> Option<Change> {
        let to = self.chance.within(0..4);
        let believed = u64::try_from(now).unwrap_or(0) + u64::from(self.chance.happens(0.1));
        let expected = self.chance.happens(0.4).then_some(believed);
        self.chance.happens(0.8).then_some(Change { to, expected })
    }

    fn hold_ms(&mut self, board: &Board) -> u64 {
        match self.chance.within(0..20) {
            0 => 999,
            1 => 30 * 24 * 3_600_000,
            2 => 30 * 24 * 3_600_000 + 1,
            3..8 => self.chance.within(1_000..4_000),
            _ => board.hold_ms,
        }
    }
}

fn selling(chance: &mut Chance) -> Selling {
    let policy = match chance.within(0..8) {
        0 => Policy::None,
        1 => Policy::TrackOnly,
        2..5 => Policy::ReserveOnCart,
        _ => Policy::ReserveOnOrder,
    };
    Selling { policy, backorder_limit: if chance.happens(0.3) { chance.within(0..6) } else { 0 } }
}

fn with_status(status: Status) -> ProductEdit {
    ProductEdit { status: Some(status), ..Default::default() }
}

fn title(text: &str) -> Title {
    parse(Title::parse(text))
}

fn parse<T, E: std::fmt::Debug>(parsed: Result<T, E>) -> T {
    parsed.expect("names and quantities of simulated clients are well-formed")
}

/// Sixteen bytes that stand for a text.
fn short(text: &str) -> [u8; 16] {
    let digest = Digest::of(text.as_bytes()).0;
    digest.first_chunk().copied().unwrap_or_default()
}
