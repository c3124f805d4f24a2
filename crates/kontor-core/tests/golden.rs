//! Journals of released versions, and the rows that they must give for ever.
//!
//! `golden/v1.journal` holds groups of format 1, each after its length (4 bytes, little-endian);
//! `golden/v1.digests` has the digests of the tables that they fold to, at their own site and at
//! another that reads what is shared of them. **A released version never
//! changes**: when this test fails after a release, the change is wrong, or needs a format 2 with
//! its own files beside these. Before the first release, `KONTOR_GOLDEN=write cargo test -p
//! kontor-core --test golden` writes both anew from [`story`].

mod support;

use std::path::Path;
use std::sync::OnceLock;

use kontor_core::access::Role;
use kontor_core::command::{Command, StockItem, UpsertItem};
use kontor_core::event::{Entry, Event};
use kontor_core::group::{self, Group};
use kontor_core::id::{Actor, JobId};
use kontor_core::job::{JobKind, JobOptions, JobStep, LineDone, LineOutcome, Source};
use kontor_core::site::SiteKind;
use kontor_core::stock::Ask;
use support::catalog::edit;
use support::ledger::play;
use support::{Answer, Shop, Tables, encode, place, request_id, shared, sku, told};

#[test]
fn version_1_reads_as_it_was_written() {
    let Golden { groups, digests } = golden();
    let groups: Vec<(&Vec<u8>, Group)> = groups.iter().map(|bytes| (bytes, read(bytes))).collect();

    let (mut here, mut elsewhere) = (Tables::new(&["main"]), Tables::new(&["main", "west"]));
    let mut packed = 0;
    for (bytes, group) in &groups {
        here.fold(std::slice::from_ref(group)).expect("it folds");
        elsewhere.fold(&[shared(bytes)]).expect("it folds");
        // Another version of the packer may pack otherwise: what it packs is what counts.
        match bytes[1] {
            0 => assert_eq!(&encode(group), *bytes),
            _ => {
                packed += 1;
                assert_eq!(&read(&encode(group)), group);
            }
        }
    }
    assert!(packed > 0, "one group is packed");
    assert_eq!(digests_of(&here, &elsewhere), *digests);
}

#[test]
fn version_1_covers_every_event() {
    let groups = golden().groups.iter().map(|bytes| read(bytes));
    let mut seen = [false; EVENTS];
    for event in groups.flat_map(|group| group.entries).flat_map(|entry| entry.events) {
        seen[number(&event)] = true;
    }
    assert_eq!(seen, [true; EVENTS], "in the order of the variants");
}

struct Golden {
    groups: Vec<Vec<u8>>,
    digests: String,
}

/// The files, written first if that was asked for.
fn golden() -> &'static Golden {
    static FILES: OnceLock<Golden> = OnceLock::new();
    FILES.get_or_init(|| {
        let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let (journal, digests) = (file("v1.journal"), file("v1.digests"));
        if told("KONTOR_GOLDEN").as_deref() == Some("write") {
            let shop = story();
            let mut elsewhere = Tables::new(&["main", "west"]);
            for bytes in &shop.journal {
                elsewhere.fold(&[shared(bytes)]).expect("it folds");
            }
            std::fs::write(&journal, framed(&shop.journal)).expect("the journal can be written");
            std::fs::write(&digests, digests_of(&shop.tables, &elsewhere)).expect("the digests can be written");
        }
        let journal = std::fs::read(journal).expect("the journal is there");
        let digests = std::fs::read_to_string(digests).expect("the digests are there");
        Golden { groups: unframed(&journal), digests }
    })
}

fn digests_of(here: &Tables, elsewhere: &Tables) -> String {
    format!("here      {}\nelsewhere {}\n", here.digest(), elsewhere.digest())
}

fn read(bytes: &[u8]) -> Group {
    group::decode(bytes).expect("a group")
}

const EVENTS: usize = 36;

/// A new variant does not compile until it has a number here, and then is missed in the journal.
fn number(event: &Event) -> usize {
    match event {
        Event::ProductEdited(_) => 0,
        Event::ListingEdited(_) => 1,
        Event::LocationOpened { .. } => 2,
        Event::LocationRenamed { .. } => 3,
        Event::StockMoved { .. } => 4,
        Event::StockAdjusted { .. } => 5,
        Event::ReservationMade { .. } => 6,
        Event::ReservationExtended { .. } => 7,
        Event::ReservationEnded { .. } => 8,
        Event::KeyCreated { .. } => 9,
        Event::DayStarted { .. } => 10,
        Event::JobStarted(_) => 11,
        Event::LinesDone(_) => 12,
        Event::JobFinished { .. } => 13,
        Event::JobUndone(_) => 14,
        Event::SiteDescribed { .. } => 15,
        Event::QuotaAsked { .. } => 16,
        Event::QuotaGranted { .. } => 17,
        Event::QuotaDeclined { .. } => 18,
        Event::TransferAsked { .. } => 19,
        Event::TransferSaid { .. } => 20,
        Event::TransferAnswered { .. } => 21,
        Event::CustomerSaved { .. } => 22,
        Event::CustomerErased { .. } => 23,
        Event::CartOpened { .. } => 24,
        Event::CartFilled { .. } => 25,
        Event::CartDetailed { .. } => 26,
        Event::CartClosed { .. } => 27,
        Event::CartSwept { .. } => 28,
        Event::OrderPlaced { .. } => 29,
        Event::OrderMoved(_) => 30,
        Event::ReservationCanceled { .. } => 31,
        Event::PaymentRequested(_) => 32,
        Event::PaymentReported(_) => 33,
        Event::PaymentParked { .. } => 34,
        Event::CallbackTaken { .. } => 35,
    }
}

/// A small journal in which everything happens.
fn story() -> Shop {
    let mut shop = Shop::new();
    let minute = 60_000;
    let acts = [
        "start-day",
        "location shop",
        "location cellar",
        "rename cellar Cave revision 1",
        "product apples",
        "product pears reserve_on_cart backorder 3 id fruit",
        "product ice track_only",
        "product cards none",
        "change fruit title Früchte revision 1",
        "variant fruit plums title Pflaumen",
        "sell fruit plums title Zwetschgen track_only revision 3",
        "edit fruit description=Saftig brand=Acme categories=b,a options=Size +ripe=yes +weight=1.50 @de=Obst",
        "edit fruit pears.gtin=96385074 pears.Size=M pears.price=2.50EUR pears.price=2EUR@100-200 pears.+peel=thin",
        "edit fruit brand= +ripe= plums=gone merge=authority:west media=https://example.org/pear.jpg",
        "list fruit gb title=Pears +ripe=no pears.price=2.20GBP",
        "list fruit gb title= pears.price=-GBP",
        "product cherries",
        "delete cherries",
        "product cherries title Kirschen",
        "archive ice",
        "activate ice",
        "receive 10 apples + 5 pears@cellar ref D-1 because restock occurred 0s key a",
        "return 1 apples ref R-1",
        "receive 1 apples + 1 pears@cellar + 2 apples",
        "issue 2 apples + 1 cards ref I-1 key b",
        "reserve r1 3 apples + 2 pears@cellar + 1 cards owner cart-1 for 15m key c",
        "extend r1 for 20m",
        "commit r1",
        "ship r1 1 apples + 1 cards ref S-1",
        "ship r1",
        "reserve r2 1 apples for 5m",
        "reserve r3 1 apples for 1m",
        "release r2",
        "tick",
        "adjust apples set-aside 2 keep-back 1",
        "write-off 1 apples set-aside because mould",
        "write-off 1 apples",
        "count 1 apples ref C-1",
        "count 9 apples expected 1 ref C-2",
        "reserve r4 6 pears@cellar",
    ];
    for act in acts {
        shop.now = shop.now.plus(minute);
        let answer = play(&mut shop, act);
        assert!(matches!(answer, Answer::Done(_)), "{act}: {answer:?}");
    }
    shop.must(Command::CreateKey { id: "k1".into(), role: Role::Admin, digest: [0xab; 32] });
    import(&mut shop);
    shop.audit();
    shop.must(Command::DescribeSite { kind: SiteKind::Store });
    shares(&mut shop);
    transfers(&mut shop);
    orders(&mut shop);
    // Many entries in one group, which is packed.
    let keys = (0..40).map(|number| Entry {
        actor: Actor::parse("operator").expect("an actor"),
        request_id: request_id(&format!("request-number-{number}")),
        idempotency: None,
        events: vec![Event::KeyCreated { id: format!("till-{number}").into(), role: Role::Admin, digest: [7; 32] }],
    });
    shop.append(keys.collect()).expect("it folds");
    shop.now = shop.now.plus(2 * 86_400_000);
    assert!(matches!(play(&mut shop, "start-day"), Answer::Done(_)));
    shop
}

/// A customer who orders, pays, cancels, and is forgotten; and a cart that nobody comes back to.
fn orders(shop: &mut Shop) {
    let words = "customer anna email a; price ice 100; cart c1 of anna; from c1 shop; put c1 2 ice;
                 put c1 1 cards at 50; checkout c1 with card; provider c1/1 1 did report cb1;
                 park c1/1 2 because slow; resume c1/1; provider c1/1 2 did; cancel c1 because asked;
                 provider c1/1 3 did; cart c2; put c2 1 ice; erase anna because asked";
    words.split(';').for_each(|command| support::ledger::play_done(shop, command.trim()));
    shop.now = shop.now.plus(9 * 86_400_000);
    support::ledger::play_done(shop, "sweep c2");
}

/// Units that were asked of another location, and of another site.
fn transfers(shop: &mut Shop) {
    let words =
        ["receive 9 pears", "transfer t1 4 pears from shop to cellar because full", "dispatch t1", "arrive t1 3 pears"];
    for command in words {
        support::ledger::play_done(shop, command);
    }
}

/// Units that were given to another site, declined, and asked for.
fn shares(shop: &mut Shop) {
    let (sku, location, west) = (support::sku("pears"), support::place("cellar"), support::site("west"));
    let ask = Ask { units: 7, wanted: 2, declined: 1, until: shop.now.plus(10_000) };
    let events = vec![
        Event::QuotaGranted { sku: sku.clone(), location: location.clone(), to: west.clone(), units: 2 },
        Event::QuotaDeclined { sku: sku.clone(), location: location.clone(), to: west.clone(), units: 1 },
        Event::QuotaAsked { sku, location, of: west, ask },
    ];
    let (actor, request_id) = (Actor::timer(), request_id("timer"));
    shop.append(vec![Entry { actor, request_id, idempotency: None, events }]).expect("it folds");
}

/// An import of products that is put back, and one of counts.
fn import(shop: &mut Shop) {
    let (products, counts) = (JobId(*b"import-of-fruits"), JobId(*b"import-of-counts"));
    let start = |id, kind| {
        let (source, options) =
            (Source::parse("fruits.csv").expect("a source"), JobOptions::parse("{}").expect("options"));
        Command::StartJob { id: Some(id), kind, source, digest: [7; 32], options }
    };
    let refused = |line| LineDone { line, product: None, outcome: LineOutcome::refused("invalid_request", "no sku") };
    shop.must(start(products, JobKind::Products));
    let item = |line, words: &[&str]| UpsertItem::new(line, edit(words));
    let step = |job, from_line, through_line, rejected| JobStep { job, from_line, through_line, rejected };
    let items =
        vec![item(1, &["figs.price=3EUR", "title=Figs"]), item(3, &["pears.+peel=thick"]), item(4, &["pears.Size=M"])];
    shop.must(Command::UpsertProducts { step: Some(step(products, 1, 5, vec![refused(2)])), items });
    shop.must(Command::FinishJob { id: products });
    shop.must(Command::UndoJob { id: products });
    shop.must(start(counts, JobKind::Counts));
    let items = vec![StockItem { line: 2, sku: sku("apples"), location: place("shop"), quantity: 4 }];
    shop.must(Command::BookStock { step: step(counts, 1, 2, vec![refused(1)]), items });
}

fn framed(groups: &[Vec<u8>]) -> Vec<u8> {
    let length = |group: &Vec<u8>| u32::try_from(group.len()).expect("small").to_le_bytes();
    groups.iter().flat_map(|group| [length(group).as_slice(), group].concat()).collect()
}

fn unframed(mut journal: &[u8]) -> Vec<Vec<u8>> {
    let mut groups = Vec::new();
    while let Some((length, rest)) = journal.split_first_chunk::<4>() {
        let (group, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        groups.push(group.to_vec());
        journal = rest;
    }
    groups
}
