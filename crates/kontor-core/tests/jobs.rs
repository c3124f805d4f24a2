//! Many products at once, imports that go on where they stopped, and the way back.

mod support;

use kontor_core::command::{Command, UpsertItem};
use kontor_core::event::{Event, ProductEdited};
use kontor_core::group;
use kontor_core::id::{JobId, ProductId};
use kontor_core::job::{Job, JobKind, JobOptions, JobStatus, JobStep, LineDone, LineOutcome, LinesDone, Source};
use kontor_core::limits::{ENTRY_BYTES_MAX, UPSERT_LINES_MAX};
use kontor_core::product::Product;
use kontor_core::product::edit::VariantEdit;
use kontor_core::product::listing::Listing;
use kontor_core::product::parts::{Choice, Parts};
use kontor_core::product::text::{Description, Language, MarketId, Translation, Url};
use kontor_core::record::{Derived, Table, decode};
use kontor_core::refusal::Refusal;
use kontor_core::text::Title;
use kontor_core::view::{View, row};
use proptest::prelude::*;
use support::catalog::{edit, listing, name};
use support::ledger::{opened, play_done};
use support::world::title;
use support::{Answer, Shop, cases, sku};

const JOB: JobId = JobId(*b"one-single-job!!");

#[test]
fn each_of_many_products_is_done_on_its_own() {
    let mut shop = opened();
    let told = upsert(
        &mut shop,
        &[
            (1, "title=Desk DESK.price=120EUR"),
            (2, "DESK.price=110EUR"),
            (4, "title=Lamp LAMP. DESK."),
            (5, "title=Lamp LAMP.gtin=96385074"),
            (6, "title=Other OTHER.gtin=0000096385074"),
            (7, "DESK.price=110EUR"),
            (8, "CHAIR.price=1EUR"),
            (9, "title=Nothing"),
            (11, "apples.price=3EUR brand=Orchard"),
        ],
    );
    let told: Vec<String> = told.iter().map(|line| format!("{} {}", line.line, shown(&line.outcome))).collect();
    assert_eq!(
        told,
        [
            "1 created",
            "2 changed",
            "4 refused already_exists: sku DESK exists already",
            "5 created",
            "6 refused already_exists: gtin 0000096385074 exists already",
            "7 unchanged",
            "8 refused title_missing: a new product needs a title",
            "9 refused invalid_request: the line: neither id nor sku is empty",
            "11 changed",
        ]
    );
    let desk = shop.tables.product("DESK").expect("it was made");
    assert_eq!((desk.revision, desk.variants[0].prices.values().next().expect("a price").amount), (2, 11_000));
    assert_eq!(shop.tables.product("apples").expect("it is there").brand.expect("a brand").as_str(), "Orchard");
    assert!(shop.tables.item("LAMP").is_some() && shop.tables.item("OTHER").is_none());
}

#[test]
fn a_job_takes_every_line_once_and_in_order() {
    let mut shop = Shop::new();
    let bad = |line| LineDone { line, product: None, outcome: LineOutcome::refused("invalid_request", "no title") };
    let step = |from, through| JobStep { job: JOB, from_line: from, through_line: through, rejected: vec![] };
    let chunk = |step: JobStep, items: &[(u64, &str)]| Command::UpsertProducts {
        step: Some(step),
        items: items.iter().map(|(line, words)| item(*line, words)).collect(),
    };
    let no = |shop: &mut Shop, command: Command| match shop.ask(command, None) {
        Answer::No(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(no(&mut shop, chunk(step(1, 2), &[])), Refusal::UnknownJob { job: JOB });
    start(&mut shop, JobKind::Products);
    let again = Refusal::AlreadyExists { what: "job", name: JOB.to_string() };
    assert_eq!(no(&mut shop, start_command(JobKind::Products)), again);

    let first = JobStep { rejected: vec![bad(3), bad(1)], ..step(1, 4) };
    shop.must(chunk(first.clone(), &[(2, "title=Desk DESK.")]));
    for (from, through) in [(1, 4), (4, 9), (6, 9)] {
        let expected = Refusal::JobPosition { job: JOB, expected: 5 };
        assert_eq!(no(&mut shop, chunk(step(from, through), &[(6, "title=Lamp LAMP.")])), expected, "{from}");
    }
    for lines in [&[(4, "LAMP.")][..], &[(10, "LAMP.")], &[(6, "LAMP."), (6, "DESK.")]] {
        assert!(matches!(no(&mut shop, chunk(step(5, 9), lines)), Refusal::LineOrder { .. }), "{lines:?}");
    }
    assert_eq!(no(&mut shop, chunk(step(5, 4), &[])), Refusal::LineOrder { line: 4 });
    let counts = Command::BookStock { step: step(5, 9), items: vec![] };
    assert_eq!(no(&mut shop, counts), Refusal::JobState { job: JOB, status: JobStatus::Running });

    shop.must(chunk(step(5, 9), &[]));
    shop.must(chunk(step(10, 11), &[(10, "DESK.price=1EUR"), (11, "DESK.price=1EUR")]));
    shop.must(Command::FinishJob { id: JOB });
    let ended = Refusal::JobState { job: JOB, status: JobStatus::Finished };
    assert_eq!(no(&mut shop, chunk(step(12, 12), &[])), ended);

    let job = job(&shop);
    let counts = [job.counts.created, job.counts.changed, job.counts.unchanged, job.counts.refused];
    assert_eq!((job.through_line, counts, job.last_chunk), (11, [1, 1, 1, 2], Some(10)));
    let kept: Vec<LinesDone> = shop.tables.all::<LinesDone>().into_iter().map(|(_, row)| row).collect();
    let lines: Vec<u64> = kept.iter().flat_map(|chunk| &chunk.lines).map(|line| line.line).collect();
    assert_eq!(lines, [1, 2, 3, 10, 11]);
    assert_eq!(kept.iter().map(|chunk| chunk.previous).collect::<Vec<_>>(), [None, Some(1), Some(5)]);
}

/// What does not fit into one entry goes into the next, and a product that fits into none is refused.
#[test]
fn a_full_entry_says_where_to_go_on() {
    let mut shop = Shop::new();
    start(&mut shop, JobKind::Products);
    let words = "x".repeat(1_000);
    let item = |line: u64| {
        let mut edit = edit(&["title=Thing", &format!("{line}.=")]);
        edit.description = Some(Some(Description::parse(words.as_str()).expect("a description")));
        UpsertItem::new(line, edit)
    };
    let all = UPSERT_LINES_MAX as u64;
    let (mut from, mut entries) = (1, 0);
    while from <= all {
        let step = JobStep { job: JOB, from_line: from, through_line: all, rejected: vec![] };
        let done = lines_done(
            &shop.must(Command::UpsertProducts { step: Some(step), items: (from..=all).map(item).collect() }),
        );
        assert!(done.lines.iter().all(|line| matches!(line.outcome, LineOutcome::Created(_))));
        assert_eq!(
            (done.lines.first().map(|line| line.line), done.lines.last().map(|line| line.line)),
            (Some(from), Some(done.through_line))
        );
        (from, entries) = (done.through_line + 1, entries + 1);
    }
    assert_eq!(entries, 5, "some 240 of them fit into one");
    assert_eq!(shop.tables.of(Table::CATALOG).count() as u64, all);

    let too_many = Command::UpsertProducts { step: None, items: (1..=all + 1).map(item).collect() };
    assert!(matches!(shop.ask(too_many, None), Answer::No(Refusal::LimitExceeded { what: "lines", .. })));

    let mut huge = edit(&["title=Huge"]);
    huge.variants = (0..200)
        .map(|number| VariantEdit {
            attributes: edit(&[&format!("+words={}", "y".repeat(1_000)), "+more=yes"]).attributes,
            title: Some(Some(title(&"z".repeat(500)))),
            ..VariantEdit::of(sku(&format!("huge-{number}")))
        })
        .collect();
    let items = vec![UpsertItem::new(1, huge), item(2_000)];
    let done = lines_done(&shop.must(Command::UpsertProducts { step: None, items }));
    let told: Vec<String> = done.lines.iter().map(|line| shown(&line.outcome)).collect();
    assert!(told[0].starts_with("refused limit_exceeded: product bytes"), "{told:?}");
    assert_eq!(told[1], "created");
    for bytes in &shop.journal {
        for entry in group::decode(bytes).expect("a group").entries {
            assert!(group::entry_bytes(&entry) <= ENTRY_BYTES_MAX);
        }
    }
}

#[test]
fn a_job_is_put_back_where_nobody_has_changed_it_since() {
    let mut shop = opened();
    upsert(&mut shop, &[(1, "title=Desk DESK.price=100EUR brand=Oak"), (2, "title=Lamp LAMP.")]);
    start(&mut shop, JobKind::Products);
    let rows = [
        "DESK.price=90EUR brand=Elm gb:DESK.price=80GBP gb:title=Table", // put back
        "LAMP.price=5EUR +colour=red",                                   // its colour is changed later
        "title=Chair CHAIR.",                                            // deleted
        "title=Sofa SOFA.",                                              // sold later
        "title=Stool STOOL.",                                            // renamed later
        "title=Shelf SHELF.",                                            // deleted with its next line
        "title=Shelves SHELF.price=1EUR",                                //
        "title=Bench BENCH.",                                            // deleted by hand later
        "title=Table TABLE. apples.gtin=x",                              // refused: no such gtin is read
        "apples.gtin=96385074 pears.",                                   // refused: pears are a product
        "apples.gtin=96385074",                                          // put back
        "pears. P2.price=1EUR gb:P2.price=1GBP", // put back: the variant goes with its price there
    ];
    let items: Vec<(u64, &str)> = (1..).zip(rows).filter(|(_, words)| !words.contains("=x")).collect();
    for (from, some) in (1..).step_by(3).zip(items.chunks(3)) {
        let through = some.last().expect("some").0;
        let from = if from == 1 { 1 } else { job(&shop).through_line + 1 };
        let step = JobStep { job: JOB, from_line: from, through_line: through, rejected: vec![] };
        let items = some.iter().map(|(line, words)| item(*line, words)).collect();
        shop.must(Command::UpsertProducts { step: Some(step), items });
    }
    play_done(&mut shop, "edit LAMP +colour=blue");
    play_done(&mut shop, "list DESK gb title=Bureau");
    play_done(&mut shop, "receive 1 SOFA");
    play_done(&mut shop, "edit STOOL title=Barstool");
    play_done(&mut shop, "delete BENCH");

    let left = undo(&mut shop);
    assert_eq!(
        left,
        [
            "8 changed_since: /present was changed since",
            "5 changed_since: /title was changed since",
            "4 product_in_use: SOFA still has stock or promises at shop",
            "2 changed_since: /attributes/colour was changed since",
            "1 changed_since: /title was changed since",
        ]
    );
    let job = job(&shop);
    assert_eq!((job.status, job.put_back, job.left), (JobStatus::Undone, 5, 5));
    let desk = shop.tables.product("DESK").expect("it was there before");
    assert_eq!((desk.brand.expect("a brand").as_str(), desk.variants[0].prices.len()), ("Oak", 1));
    assert_eq!(desk.variants[0].prices.values().next().expect("a price").amount, 10_000);
    let gb = Listing::key((&ProductId::parse("DESK").expect("an id"), &MarketId::parse("gb").expect("a market")));
    let gb = shop.tables.get(Table::MARKET_LISTINGS, gb.as_bytes()).expect("rows").expect("a listing");
    let gb: Listing = decode(Table::MARKET_LISTINGS, &gb).expect("a row");
    assert_eq!((gb.title.expect("a title").as_str(), gb.prices.len()), ("Bureau", 0));
    let lamp = shop.tables.product("LAMP").expect("it was there before");
    assert_eq!((lamp.variants[0].prices.len(), lamp.attributes.len()), (0, 1), "what was changed stays, the rest goes");
    assert!(shop.tables.product("apples").expect("apples").variants[0].gtin.is_none());
    for gone in ["CHAIR", "SHELF", "BENCH"] {
        assert!(shop.tables.product(gone).is_none() && shop.tables.item(gone).is_none(), "{gone}");
    }
    for left in ["SOFA", "STOOL"] {
        assert!(shop.tables.product(left).is_some(), "{left}");
    }
    let again = shop.ask(Command::UndoJob { id: JOB }, None);
    assert_eq!(again, Answer::No(Refusal::JobState { job: JOB, status: JobStatus::Undone }));
}

proptest! {
    #![proptest_config(cases(60))]

    /// However an import is cut into chunks, it does what its lines would do one by one; and put back, it
    /// leaves everything as it was.
    #[test]
    fn chunks_do_what_their_lines_do(
        before in rows(),
        lines in rows(),
        sizes in proptest::collection::vec(1..6_usize, 1..6),
    ) {
        let mut shop = Shop::new();
        upsert(&mut shop, &numbered(&before));
        let untouched = products(&shop);
        let mut one_by_one = shop.clone();
        for (line, words) in numbered(&lines) {
            upsert(&mut one_by_one, &[(line, words)]);
        }
        start(&mut shop, JobKind::Products);
        let all = numbered(&lines);
        let mut rest = all.as_slice();
        let mut sizes = sizes.iter().cycle();
        while let Some((from, _)) = rest.first() {
            let (some, later) = rest.split_at(rest.len().min(*sizes.next().expect("it cycles")));
            let through = some.last().expect("some").0;
            let step = JobStep { job: JOB, from_line: *from, through_line: through, rejected: vec![] };
            let items = some.iter().map(|(line, words)| item(*line, words)).collect();
            shop.must(Command::UpsertProducts { step: Some(step), items });
            rest = later;
        }
        prop_assert_eq!(products(&shop), products(&one_by_one));
        prop_assert_eq!(undo(&mut shop), Vec::<String>::new());
        prop_assert_eq!(products(&shop), untouched);
    }
}

fn rows() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        (0..3_u8).prop_map(|n| format!("title=title_{n}")),
        (0..3_u8).prop_map(|n| format!("brand=brand-{n}")),
        Just("brand=".to_owned()),
        (0..3_u8).prop_map(|n| format!("+colour=c{n}")),
        Just("+colour=".to_owned()),
        (0..4_u8, 0..3_u8).prop_map(|(sku, n)| format!("S{sku}.price={n}EUR")),
        (0..4_u8).prop_map(|sku| format!("S{sku}.price=-EUR")),
        (0..4_u8, 0..2_u8)
            .prop_map(|(sku, n)| { format!("S{sku}.gtin={}", ["96385074", "4006381333931"][usize::from(n)]) }),
        (0..4_u8).prop_map(|sku| format!("S{sku}.title=variant")),
        (0..4_u8, 0..3_u8).prop_map(|(sku, n)| format!("gb:S{sku}.price={n}GBP")),
        (0..4_u8).prop_map(|sku| format!("gb:S{sku}.price=-GBP")),
        (0..2_u8).prop_map(|n| format!("gb:title=title_{n}")),
    ];
    let row = (0..4_u8, proptest::collection::vec(word, 0..4), any::<bool>()).prop_map(|(sku, words, titled)| {
        let head = if titled { format!("S{sku}. title=of-{sku} ") } else { format!("S{sku}. ") };
        head + &words.join(" ")
    });
    proptest::collection::vec(row, 0..12)
}

fn numbered(rows: &[String]) -> Vec<(u64, &str)> {
    (1..).zip(rows.iter().map(String::as_str)).collect()
}

type ByKey<T> = Vec<(String, T)>;

/// Products and listings without what every edit changes.
fn products(shop: &Shop) -> (ByKey<Product>, ByKey<Listing>) {
    let rows = shop.tables.of(Table::CATALOG);
    let plain = rows.map(|(key, value)| {
        let mut product: Product = decode(Table::CATALOG, value).expect("a row");
        (product.revision, product.created_at, product.updated_at) = Default::default();
        // A variant that was removed and put back stands last.
        product.variants.sort_by(|a, b| a.sku.cmp(&b.sku));
        (String::from_utf8_lossy(key).into_owned(), product)
    });
    let rows = shop.tables.of(Table::MARKET_LISTINGS);
    let listings = rows.map(|(key, value)| {
        let mut listing: Listing = decode(Table::MARKET_LISTINGS, value).expect("a row");
        (listing.revision, listing.updated_at) = Default::default();
        (String::from_utf8_lossy(key).into_owned(), listing)
    });
    (plain.collect(), listings.collect())
}

/// `SKU.` alone names the variant, `gb:` before a word means that market.
fn item(line: u64, words: &str) -> UpsertItem {
    let words: Vec<String> = words
        .split_whitespace()
        .map(|word| if word.contains('=') { word.into() } else { format!("{word}=") })
        .collect();
    let (there, here): (Vec<&str>, Vec<&str>) = words.iter().map(String::as_str).partition(|word| word.contains(':'));
    let mut item = UpsertItem::new(line, edit(&here));
    if !there.is_empty() {
        let words: Vec<&str> = ["gb"].into_iter().chain(there.iter().map(|word| &word[3..])).collect();
        item.listings.extend([listing(&words)]);
    }
    item
}

fn upsert(shop: &mut Shop, items: &[(u64, &str)]) -> Vec<LineDone> {
    let items: Vec<UpsertItem> = items.iter().map(|(line, words)| item(*line, words)).collect();
    if items.is_empty() {
        return Vec::new();
    }
    lines_done(&shop.must(Command::UpsertProducts { step: None, items })).lines
}

fn lines_done(events: &[Event]) -> LinesDone {
    match events.last() {
        Some(Event::LinesDone(done)) => (**done).clone(),
        other => panic!("{other:?}"),
    }
}

fn start_command(kind: JobKind) -> Command {
    let (source, options) = (Source::parse("a.csv").expect("a source"), JobOptions::parse("").expect("options"));
    Command::StartJob { id: Some(JOB), kind, source, digest: [0; 32], options }
}

fn start(shop: &mut Shop, kind: JobKind) {
    shop.must(start_command(kind));
}

fn job(shop: &Shop) -> Job {
    row::<Job>(&shop.tables, &shop.site, JOB).expect("rows").expect("a job")
}

/// Puts the job back to its first line; answers what is left.
fn undo(shop: &mut Shop) -> Vec<String> {
    let mut left = Vec::new();
    loop {
        let events = shop.must(Command::UndoJob { id: JOB });
        for event in &events {
            if let Event::ProductEdited(edited) = event {
                let ProductEdited { job: Some(line), .. } = &**edited else { panic!("{edited:?}") };
                assert!(line.undo && line.job == JOB);
            }
        }
        let Some(Event::JobUndone(undone)) = events.last() else { panic!("{events:?}") };
        left.extend(undone.left.iter().map(|line| {
            let LineOutcome::Refused { code, detail } = &line.outcome else { panic!("{line:?}") };
            format!("{} {code}: {detail}", line.line)
        }));
        if undone.next_chunk.is_none() {
            return left;
        }
    }
}

fn shown(outcome: &LineOutcome) -> String {
    match outcome {
        LineOutcome::Refused { code, detail } => format!("refused {code}: {detail}"),
        other => other.word().to_owned(),
    }
}

/// Columns say a field piece by piece: what a line does not say of a field stays, and undoing it puts back
/// what was there.
#[test]
fn a_part_of_a_field_leaves_the_rest_of_it() {
    let mut shop = Shop::new();
    let media = "media=https://a.example/1,https://a.example/2";
    let desk = edit(&["title=Desk", "options=Size", "@de=Tisch", media, "S.Size=small", "M.Size=wide"]);
    shop.must(Command::UpsertProducts { step: None, items: vec![UpsertItem::new(1, desk)] });
    let before = products(&shop);
    start(&mut shop, JobKind::Products);
    let of = |line, words: &str, parts: Parts| UpsertItem { parts, ..item(line, words) };
    let choice =
        |of: &str, option: &str, value: &str| Choice { sku: sku(of), option: name(option), value: name(value) };
    let text = |title: Option<&str>, description: Option<&str>| {
        let description = description.map(|text| Description::parse(text).expect("a description"));
        let translation = Translation { title: title.map(support::world::title), description };
        Parts { translations: [(Language::parse("de").expect("a tag"), translation)].into(), ..Parts::default() }
    };
    let images = ["https://a.example/2", "https://a.example/3"].map(|url| Url::parse(url).expect("an address"));
    let items = vec![
        of(1, "S.", text(None, Some("Aus Holz"))),
        of(2, "S.", text(Some("Schreibtisch"), None)),
        of(3, "S.", Parts { choices: vec![choice("S", "Color", "red")], ..Parts::default() }),
        // Over what the same line sets as a whole.
        of(4, "M.Size=large", Parts { choices: vec![choice("M", "Color", "blue")], ..Parts::default() }),
        of(5, "S.", Parts { images: images.into(), ..Parts::default() }),
        of(6, "S.", text(Some("Schreibtisch"), None)),
        of(7, "title=Lamp L.", Parts { choices: vec![choice("L", "Watt", "5")], ..text(Some("Lampe"), None) }),
        of(8, "S.", Parts { choices: vec![choice("L", "Watt", "5")], ..Parts::default() }),
    ];
    let step = JobStep { job: JOB, from_line: 1, through_line: 8, rejected: vec![] };
    let done = lines_done(&shop.must(Command::UpsertProducts { step: Some(step), items }));
    let told: Vec<String> = done.lines.iter().map(|line| shown(&line.outcome)).collect();
    assert_eq!(
        told,
        [
            "changed",
            "changed",
            "changed",
            "changed",
            "changed",
            "unchanged",
            "created",
            "refused already_exists: sku L exists already"
        ]
    );
    let desk = shop.tables.product("S").expect("it is there");
    let german = desk.translations.values().next().expect("a translation");
    let german = (german.title.as_ref().map(Title::as_str), german.description.as_ref().map(Description::as_str));
    assert_eq!(german, (Some("Schreibtisch"), Some("Aus Holz")));
    assert_eq!(desk.options, [name("Size"), name("Color")]);
    let chosen: Vec<String> = desk.variants.iter().map(|variant| format!("{:?}", variant.options)).collect();
    assert!(chosen[0].contains("small") && chosen[0].contains("red"), "{chosen:?}");
    assert!(chosen[1].contains("large") && chosen[1].contains("blue"), "{chosen:?}");
    let urls: Vec<&str> = desk.media.iter().map(|medium| medium.url.as_str()).collect();
    assert_eq!(urls, ["https://a.example/1", "https://a.example/2", "https://a.example/3"]);
    let lamp = shop.tables.product("L").expect("it was made");
    assert_eq!((lamp.options, lamp.translations.len()), (vec![name("Watt")], 1));

    assert!(undo(&mut shop).is_empty());
    assert_eq!(products(&shop), before);
}

#[test]
fn an_id_names_a_product_whatever_its_skus() {
    let mut shop = Shop::new();
    let id = || ProductId::parse("desks").ok();
    let of = |line, words: &str| UpsertItem { id: id(), ..item(line, words) };
    let items =
        vec![of(1, "title=Desks OAK. ELM."), of(2, "brand=Acme"), of(3, "ASH.price=1EUR"), item(4, "ELM.price=2EUR")];
    let done = lines_done(&shop.must(Command::UpsertProducts { step: None, items }));
    assert_eq!(
        done.lines.iter().map(|line| shown(&line.outcome)).collect::<Vec<_>>(),
        ["created", "changed", "changed", "changed"]
    );
    let desks = shop.tables.product("desks").expect("it was made");
    let skus: Vec<&str> = desks.variants.iter().map(|variant| variant.sku.as_str()).collect();
    assert_eq!(skus, ["OAK", "ELM", "ASH"], "in the order in which they were given");
    assert_eq!(desks.variants[1].prices.len(), 1);
}
