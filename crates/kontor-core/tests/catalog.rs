//! The rules of the catalogue, as tables: what is edited at one site, and what two sites make of it.

mod support;

use kontor_core::event::Event;
use kontor_core::product::field::Conflict;
use kontor_core::product::merge::conflicts;
use kontor_core::product::revision::Revision;
use kontor_core::product::{Product, Sibling};
use kontor_core::refusal::Refusal;
use kontor_core::view::rows_of_sites;
use support::ledger::{aligned, cells, opened, play, play_done, told_of};
use support::{Answer, Shop, shared, sku};

#[test]
fn an_edit_sets_what_is_not_so() {
    check(
        "
         edit                                          | answer                                              | apples
         edit apples brand=Acme +colour=red            | apples revision 2                                   | apples; brand Acme; +colour red
         edit apples brand=Acme +colour=green          | apples revision 3                                   | apples; brand Acme; +colour green
         edit apples brand=Acme +colour=green          | nothing                                             | apples; brand Acme; +colour green
         edit apples brand= +colour= +size=            | apples revision 4                                   | apples
         edit apples brand=                            | nothing                                             | apples
         edit apples                                   | no: invalid_request                                 | apples
         edit apples categories=b,a,b                  | apples revision 5                                   | apples; categories a, b
         edit apples categories=a,b                    | nothing                                             | apples; categories a, b
         edit apples categories= status=draft          | apples revision 6                                   | apples, draft
         issue 1 apples                                | no: product_draft apples apples                     | apples, draft
         receive 1 apples                              | apples +1                                           | apples, draft
         edit apples status=active                     | apples revision 7                                   | apples
         edit apples options=Size,Size                 | no: already_exists option Size                      | apples
         edit apples apples.Size=M                     | no: invalid_request apples Size              | apples
         edit apples options=Size apples.Size=M        | apples revision 8                                   | apples; apples Size M
         edit apples options=Colour                    | no: invalid_request apples Size              | apples; apples Size M
         edit pears pears.gtin=96385074                | pears revision 2                                    | apples; apples Size M
         edit apples apples.gtin=0000096385074         | no: already_exists gtin 0000096385074               | apples; apples Size M
         edit pears pears.gtin=                        | pears revision 3                                    | apples; apples Size M
         edit apples apples.gtin=0000096385074         | apples revision 9                                   | apples; apples 0000096385074; apples Size M
         variant pears tin                             | pears revision 4                                    | apples; apples 0000096385074; apples Size M
         edit pears pears.gtin=4006381333931 tin.gtin=4006381333931 | no: already_exists gtin 4006381333931 | apples; apples 0000096385074; apples Size M
         edit nothing brand=Acme                       | no: unknown_product nothing                         | apples; apples 0000096385074; apples Size M",
    );
}

#[test]
fn prices_are_set_one_by_one() {
    check(
        "
         edit                                             | answer                       | apples
         edit apples apples.price=2EUR apples.price=3CHF  | apples revision 2            | apples; apples 2.00 EUR, 3.00 CHF
         edit apples apples.price=1.50EUR@5-9             | apples revision 3            | apples; apples 2.00 EUR, 1.50 EUR from 5 until 9, 3.00 CHF
         edit apples apples.price=1.50EUR@5-8             | apples revision 4            | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8, 3.00 CHF
         edit apples apples.price=-CHF apples.price=-USD  | apples revision 5            | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8
         list apples gb apples.price=1.80EUR title=Apples | apples in gb revision 1      | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8
         list apples gb apples.price=1.80EUR title=Apples | nothing                      | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8
         list apples gb pears.price=1EUR                  | no: unknown_sku pears        | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8
         list apples gb title= revision 0                 | no: precondition_failed expected 0 actual 1 | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8
         list apples gb title= revision 1                 | apples in gb revision 2      | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8
         list nothing gb title=Apples                     | no: unknown_product nothing  | apples; apples 2.00 EUR, 1.50 EUR from 5 until 8",
    );
}

#[test]
fn what_is_deleted_is_gone_until_it_is_made_anew() {
    check(
        "
         edit                             | answer                                 | apples
         edit apples brand=Acme +a=b      | apples revision 2                      | apples; brand Acme; +a b
         list apples gb title=Apples      | apples in gb revision 1                | apples; brand Acme; +a b
         receive 1 apples                 | apples +1                              | apples; brand Acme; +a b
         delete apples                    | no: product_in_use apples              | apples; brand Acme; +a b
         reserve r1 1 apples              | r1 held until 15m                      | apples; brand Acme; +a b
         commit r1                        | r1 committed                           | apples; brand Acme; +a b
         count 0 apples                   | apples -1                              | apples; brand Acme; +a b
         delete apples                    | no: product_in_use apples              | apples; brand Acme; +a b
         receive 1 apples                 | apples +1                              | apples; brand Acme; +a b
         ship r1                          | apples -1                              | apples; brand Acme; +a b
         delete apples revision 1         | no: precondition_failed expected 1 actual 2 | apples; brand Acme; +a b
         delete apples revision 2         | apples deleted                         | gone
         delete apples                    | no: unknown_product apples             | gone
         edit apples brand=Acme           | no: unknown_product apples             | gone
         receive 1 apples                 | no: unknown_sku apples                 | gone
         product apples                   | product apples                         | apples
         edit apples +a=c                 | apples revision 5                      | apples; +a c
         list apples gb +a=c              | apples in gb revision 2                | apples; +a c",
    );
}

/// Variants are added, changed and removed; the first added stands first.
#[test]
fn variants_come_and_go() {
    check(
        "
         edit                                    | answer                                | apples
         variant apples apples-red title Red     | apples revision 2                     | apples; apples-red 'Red'
         variant apples apples-red               | no: already_exists sku apples-red     | apples; apples-red 'Red'
         edit apples apples-red=gone             | apples revision 3                     | apples
         receive 1 apples-red                    | no: unknown_sku apples-red            | apples
         variant pears apples-red                | pears revision 2                      | apples
         variant apples apples-red               | no: already_exists sku apples-red     | apples
         edit pears apples-red=gone              | pears revision 3                      | apples
         variant apples apples-red               | apples revision 4                     | apples; apples-red
         receive 1 apples-red                    | apples-red +1                         | apples; apples-red
         edit apples apples-red=gone             | no: product_in_use apples-red         | apples; apples-red
         edit apples kiwis.title=Kiwi            | no: unknown_sku kiwis                 | apples; apples-red",
    );
}

/// Two sites, both of which know the desk. Each row is an edit at one of them, or one reads what the
/// other has done.
#[test]
fn edits_that_did_not_know_of_each_other_are_a_conflict() {
    check_sites(
        "
         act                          | main                                     | west
         main: title=Table            | Table                                    | Desk
         west: title=Bureau +legs=4   | Table                                    | Bureau; +legs 4
         main reads                   | Bureau; +legs 4 (title: Bureau by west, Table by main; latest) | Bureau; +legs 4
         west reads                   | Bureau; +legs 4 (title: Bureau by west, Table by main; latest) | Bureau; +legs 4 (title: Bureau by west, Table by main; latest)
         main: +legs=3                | Bureau; +legs 3 (title: Bureau by west, Table by main; latest) | Bureau; +legs 4 (title: Bureau by west, Table by main; latest)
         main: title=Bureau           | Bureau; +legs 3                          | Bureau; +legs 4 (title: Bureau by west, Table by main; latest)
         west reads                   | Bureau; +legs 3                          | Bureau; +legs 3",
    );
}

#[test]
fn a_rule_decides_what_shows() {
    check_sites(
        "
         act                                  | main                                                            | west
         main: merge=authority:main title=A   | A                                                               | Desk
         west: title=B brand=Bolt             | A                                                               | B; brand Bolt
         west reads                           | A                                                               | A; brand Bolt (title: A by main, B by west; authority:main)
         main reads                           | A; brand Bolt (title: A by main, B by west; authority:main)     | A; brand Bolt (title: A by main, B by west; authority:main)
         west: title=C                        | A; brand Bolt (title: A by main, B by west; authority:main)     | C; brand Bolt
         main reads                           | C; brand Bolt                                                   | C; brand Bolt
         main: brand=Acme                     | C; brand Acme                                                   | C; brand Bolt
         west: merge=latest brand=Corp        | C; brand Acme                                                   | C; brand Corp
         main reads                           | C; brand Corp (brand: Corp by west, Acme by main; latest)       | C; brand Corp",
    );
}

/// The same value twice is no conflict; a deletion and an edit that did not know of it are not one
/// either, since the edit is of something else: the product stays deleted.
#[test]
fn what_agrees_or_is_gone_is_no_conflict() {
    check_sites(
        "
         act                   | main        | west
         main: title=Table     | Table       | Desk
         west: title=Table     | Table       | Table
         main reads            | Table       | Table
         west reads            | Table       | Table
         main deletes          | gone        | Table
         west: title=Bureau    | gone        | Bureau
         main reads            | gone        | Bureau
         west reads            | gone        | gone
         west makes            | gone        | Desk
         main reads            | Desk        | Desk",
    );
}

/// Every field of every edit, before and after, newest last.
#[test]
fn revisions_tell_what_was_before() {
    let mut shop = opened();
    for words in [
        "edit pears brand=Acme pears.price=2EUR",
        "edit pears brand=Bolt +ripe=yes pears.price=-EUR",
        "list pears gb title=Pears",
        "variant pears plum-pears title Plums",
        "edit pears plum-pears=gone",
        "edit pears brand=Bolt",
        "delete pears",
    ] {
        assert!(matches!(play(&mut shop, words), Answer::Done(_)), "{words}");
    }
    let prefix = Revision::prefix(&sku("pears").into());
    let all = shop.tables.all::<Revision>();
    let own = all.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes()));
    let told: Vec<String> = own
        .flat_map(|(_, revision)| revision.changes())
        .map(|change| format!("{}: {} -> {}", change.field, change.before, change.after))
        .collect();
    let expected = [
        "/present: no -> yes",
        "/title: nothing -> pears",
        "/variants/pears/present: nothing -> yes",
        "/brand: nothing -> Acme",
        "/variants/pears/prices/EUR: nothing -> amount 2.00",
        "/brand: Acme -> Bolt",
        "/attributes/ripe: nothing -> yes",
        "/variants/pears/prices/EUR: amount 2.00 -> nothing",
        "/title: nothing -> Pears",
        "/variants/plum-pears/present: no -> yes",
        "/variants/plum-pears/title: nothing -> Plums",
        "/variants/plum-pears/present: yes -> no",
        "/variants/plum-pears/title: Plums -> nothing",
        "/variants/plum-pears/selling: policy reserve_on_order, backorder_limit 0 -> nothing",
        "/present: yes -> no",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_product_has_limits() {
    let list = |field: &str, count: usize| {
        format!("{field}={}", (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>().join(","))
    };
    let each = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(" ");
    let letters: Vec<char> = ('A'..='Z').collect();
    let currency = |n: usize| format!("A{}{}", letters[n / 26], letters[n % 26]);
    type Words<'w> = &'w dyn Fn(usize) -> String;
    let cases: [(&str, usize, Words<'_>); 8] = [
        ("categories", 20, &|count| list("categories", count)),
        ("options", 5, &|count| list("options", count)),
        ("attributes", 100, &|count| each(count, &|n| format!("+a{n}=x"))),
        ("attributes", 50, &|count| each(count, &|n| format!("apples.+a{n}=x"))),
        ("media", 50, &|count| {
            format!("media={}", (0..count).map(|n| format!("https://e.org/{n}")).collect::<Vec<_>>().join(","))
        }),
        ("translations", 50, &|count| each(count, &|n| format!("@x{n:03}=Text").replace("@x", "@aa-x"))),
        ("prices", 100, &|count| each(count, &|n| format!("apples.price=1{}", currency(n)))),
        ("variants", 199, &|count| each(count, &|n| format!("v{n}=")).replace("v", "apples-v")),
    ];
    for (what, max, words) in cases {
        let mut shop = opened();
        let edit = |shop: &mut Shop, count: usize| {
            let words = words(count);
            let edit = support::catalog::edit(&words.split(' ').collect::<Vec<_>>());
            let (id, edit, must) = (sku("apples").into(), Box::new(edit), kontor_core::command::Must::Either);
            let (expected, variants) = (None, must);
            shop.ask(kontor_core::command::Command::EditProduct { id, edit, expected, must, variants }, None)
        };
        let beyond = edit(&mut shop, max + 1);
        let Answer::No(Refusal::LimitExceeded { what: told, given, max: most }) = &beyond else {
            panic!("{what}: {beyond:?}")
        };
        assert_eq!((*told, *given, *most), (what, *most + 1, if what == "variants" { 200 } else { max as u64 }));
        assert!(matches!(edit(&mut shop, max), Answer::Done(_)), "{what}");
    }
    let mut shop = opened();
    for market in 0..300 {
        play_done(&mut shop, &format!("list apples m{market} title=Own"));
    }
    let answer = play(&mut shop, "list apples m300 title=Own");
    assert!(matches!(answer, Answer::No(Refusal::LimitExceeded { what: "markets", given: 301, .. })), "{answer:?}");
    play_done(&mut shop, "list apples m7 title=Other");
}

/// Plays edits at one site, and compares answers and the product in words.
#[track_caller]
fn check(table: &str) {
    let mut shop = opened();
    compare(table, |row| {
        let answer = told_of(play(&mut shop, &row[0]));
        shop.audit();
        vec![answer, shop.tables.product("apples").map_or_else(|| "gone".into(), |product| shown(&product))]
    });
}

/// Plays edits of one product at two sites.
#[track_caller]
fn check_sites(table: &str) {
    let sites = ["main", "west"];
    let mut shops = sites.map(|name| Shop::among(name, &sites));
    play_done(&mut shops[0], "product desk");
    play_done(&mut shops[0], "edit desk title=Desk");
    let mut read = [0, 0];
    let mut reads = |shops: &mut [Shop; 2], reader: usize| {
        let journal: Vec<Vec<u8>> = shops[1 - reader].journal[read[reader]..].to_vec();
        read[reader] += journal.len();
        let groups: Vec<_> = journal.iter().map(|bytes| shared(bytes)).collect();
        shops[reader].tables.fold(&groups).expect("it folds");
    };
    reads(&mut shops, 1);
    compare(table, |row| {
        let at = usize::from(row[0].starts_with("west"));
        shops.iter_mut().for_each(|shop| shop.now = shop.now.plus(1_000));
        match row[0].split_once(": ") {
            Some((_, words)) => play_done(&mut shops[at], &format!("edit desk {words}")),
            None if row[0].ends_with("deletes") => play_done(&mut shops[at], "delete desk"),
            None if row[0].ends_with("makes") => {
                play_done(&mut shops[at], "product desk");
                play_done(&mut shops[at], "edit desk title=Desk");
            }
            None => reads(&mut shops, at),
        }
        let told = shops.iter().map(|shop| {
            let siblings = rows_of_sites::<Sibling>(&shop.tables, &sku("desk").into()).expect("rows");
            let Some(product) = shop.tables.product("desk") else { return "gone".into() };
            let open: Vec<String> = conflicts(&siblings).iter().map(told).collect();
            let open = if open.is_empty() { String::new() } else { format!(" ({})", open.join("; ")) };
            shown(&Product { variants: vec![], ..product }) + &open
        });
        told.collect()
    });
}

/// Whoever deletes a product, removes a variant or makes either anew, having seen that sites differed
/// about it, says so: the dispute is on no other list from then on.
#[test]
fn a_deletion_and_a_new_beginning_tell_what_they_settle() {
    let sites = ["main", "west"];
    let mut shops = sites.map(|name| Shop::among(name, &sites));
    let mut read = [0, 0];
    let mut play_at = |at: usize, acts: &[&str]| {
        let mut settled = Vec::new();
        for act in acts {
            shops.iter_mut().for_each(|shop| shop.now = shop.now.plus(1_000));
            if *act == "reads" {
                let journal: Vec<Vec<u8>> = shops[1 - at].journal[read[at]..].to_vec();
                read[at] += journal.len();
                let groups: Vec<_> = journal.iter().map(|bytes| shared(bytes)).collect();
                shops[at].tables.fold(&groups).expect("it folds");
                continue;
            }
            let Answer::Done(events) = play(&mut shops[at], act) else { panic!("{act} is done") };
            let [Event::ProductEdited(edited)] = events.as_slice() else { panic!("{act} is an edit") };
            settled.extend(edited.settled.iter().map(told));
        }
        settled
    };
    play_at(0, &["product desk", "variant desk tin"]);
    play_at(1, &["reads"]);
    // Both delete it; one makes it again.
    play_at(0, &["delete desk"]);
    play_at(1, &["delete desk", "product desk", "variant desk tin", "edit desk title=West"]);
    let seen = play_at(0, &["reads", "delete desk"]);
    assert_eq!(seen, ["present: yes by west, no by main; latest"]);
    // One makes it again, and the other deletes it once more.
    play_at(1, &["reads", "product desk", "variant desk tin"]);
    play_at(0, &["reads", "edit desk tin.title=Main"]);
    play_at(1, &["edit desk tin.title=West"]);
    let seen = play_at(0, &["reads", "edit desk tin=gone"]);
    assert_eq!(seen, ["variants/tin/title: West by west, Main by main; latest"]);
    play_at(0, &["delete desk", "product desk"]);
    play_at(1, &["delete desk"]);
    let seen = play_at(0, &["reads", "product desk"]);
    assert_eq!(seen, ["present: no by west, yes by main; latest"]);
}

fn told(conflict: &Conflict) -> String {
    let values: Vec<String> = conflict.candidates.iter().map(|of| format!("{} by {}", of.value, of.site)).collect();
    format!("{}: {}; {}", conflict.field.to_string().trim_start_matches('/'), values.join(", "), conflict.rule)
}

#[track_caller]
fn compare(table: &str, mut play: impl FnMut(&[String]) -> Vec<String>) {
    let mut rows = table.lines().map(str::trim).filter(|line| !line.is_empty()).map(cells);
    let head = rows.next().expect("a head");
    let (mut told, mut expected) = (vec![head.clone()], vec![head]);
    for row in rows {
        let found = play(&row);
        told.push(row[..1].iter().cloned().chain(found).collect());
        expected.push(row);
    }
    let (told, expected) = (aligned(&told), aligned(&expected));
    assert!(told == expected, "expected\n{expected}\nbut it went\n{told}");
}

/// A product in words.
fn shown(product: &Product) -> String {
    let mut said = product.title.to_string();
    if product.status != Default::default() {
        said += &format!(", {}", product.status.word());
    }
    let mut parts = Vec::new();
    parts.extend(product.brand.iter().map(|name| format!("brand {name}")));
    if !product.categories.is_empty() {
        let names: Vec<&str> = product.categories.iter().map(|name| name.as_str()).collect();
        parts.push(format!("categories {}", names.join(", ")));
    }
    parts.extend(product.attributes.iter().map(|(name, value)| format!("+{name} {}", value.words().join(", "))));
    for variant in &product.variants {
        let name = &variant.sku;
        let before = parts.len();
        parts.extend(variant.title.iter().map(|title| format!("{name} '{title}'")));
        parts.extend(variant.gtin.iter().map(|gtin| format!("{name} {gtin}")));
        parts.extend(variant.options.iter().map(|(option, value)| format!("{name} {option} {value}")));
        // As a person would tell them: by beginning within each currency, the home currency first.
        let prices: Vec<String> = ["EUR", "CHF"]
            .into_iter()
            .flat_map(|code| variant.prices.iter().filter(move |(key, _)| key.currency.to_string() == code))
            .map(|(key, terms)| {
                let from = key.valid_from.map_or_else(String::new, |at| format!(" from {}", at.0));
                let until = terms.valid_until.map_or_else(String::new, |at| format!(" until {}", at.0));
                format!("{}{from}{until}", terms.money(key.currency))
            })
            .collect();
        parts.extend((!prices.is_empty()).then(|| format!("{name} {}", prices.join(", "))));
        if parts.len() == before && name.as_str() != "apples" {
            parts.push(name.to_string());
        }
    }
    parts.insert(0, said);
    parts.join("; ")
}
