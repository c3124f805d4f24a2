//! What of a group leaves its site, and what does not.

mod support;

use kontor_core::access::Role;
use kontor_core::command::Idempotency;
use kontor_core::event::{Entry, Event};
use kontor_core::group::{self, Group, GroupError};
use kontor_core::id::Actor;
use kontor_core::text::Title;
use kontor_core::time::SiteTime;
use support::{Shop, encode, place, request_id, shared};

fn opened(number: u8) -> Event {
    let name = Title::parse(format!("Shop {number}")).expect("a name");
    Event::LocationOpened { id: place(&format!("shop-{number}")), name }
}

fn key(number: u8) -> Event {
    Event::KeyCreated { id: format!("key-{number}").into(), role: Role::Admin, digest: [number; 32] }
}

fn held(number: u8) -> Event {
    let id = kontor_core::id::ReservationId([number; 16]);
    Event::ReservationMade { id, owner: None, lines: Vec::new(), expires_at: SiteTime(1_000 + u64::from(number)) }
}

fn entry(events: Vec<Event>) -> Entry {
    let (actor, request_id) = (Actor::parse("key:till").expect("an actor"), request_id("secret-request"));
    let idempotency = Some(Idempotency { scope: [0xaa; 16], fingerprint: [0xbb; 16] });
    Entry { actor, request_id, idempotency, events }
}

/// Every order of private and shared events is found again at home, and shared ones alone elsewhere.
#[test]
fn a_group_is_cut_between_what_is_shared_and_what_is_not() {
    let mut shop = Shop::new();
    let entries = vec![
        entry(vec![key(1)]),
        entry(vec![opened(1)]),
        entry(vec![key(2), opened(2), held(1), key(3), key(4), held(2), opened(3), key(5)]),
        entry(vec![Event::DayStarted { day: 3 }, key(6)]),
        entry((10..200).map(|n| if n % 3 == 0 { key(n) } else { opened(n) }).collect()),
    ];
    shop.append(entries.clone()).expect("it folds");
    let whole = &shop.journal[0];
    assert_eq!(group::decode(whole).expect("a group").entries, entries);

    let cut = group::shared(whole).expect("a group");
    let told: Vec<Vec<Event>> = shared(whole).entries.into_iter().map(|entry| entry.events).collect();
    let hidden = |number| {
        let Event::ReservationMade { id, owner, lines, .. } = held(number) else { unreachable!() };
        Event::ReservationMade { id, owner, lines, expires_at: SiteTime::NEVER }
    };
    let rest: Vec<Event> = (10..200).filter(|n| n % 3 != 0).map(opened).collect();
    let expected = [vec![], vec![opened(1)], vec![opened(2), hidden(1), hidden(2), opened(3)], vec![], rest];
    assert_eq!(told, expected, "each entry at its place");
    assert_eq!(shared(whole).entries[1].idempotency, None);
    assert_eq!(shared(cut), shared(whole), "it can be cut again");
    assert_eq!(group::decode_header(cut), group::decode_header(whole));

    let small = encode(&Group { entries: entries[..2].to_vec(), ..group::decode(whole).expect("a group") });
    let cut = group::shared(&small).expect("a group");
    for secret in [b"key-1".as_slice(), &[1; 32], &[0xaa; 16], &[0xbb; 16]] {
        let found = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(found(&small) && !found(cut), "{secret:?} stays at home");
    }
}

/// The digest of what is shared stands for the rest too: none of it can be exchanged.
#[test]
fn another_private_part_is_not_the_same_group() {
    let mut shop = Shop::new();
    shop.append(vec![entry(vec![opened(1), key(1)])]).expect("it folds");
    let whole = &shop.journal[0];
    let cut = group::shared(whole).expect("a group").len();
    for at in cut..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 1;
        assert_eq!(group::digest(&other), group::digest(whole));
        assert!(matches!(group::decode(&other), Err(GroupError::Damaged(_))), "byte {at}");
    }
}

/// A site that tells others what is not theirs is not read.
#[test]
fn a_shared_part_holds_nothing_private() {
    let mut shop = Shop::new();
    shop.append(vec![entry(vec![held(1)])]).expect("it folds");
    let header = group::decode_header(&shop.journal[0]).expect("a header");
    for event in [key(1), held(1)] {
        // Some(actor, request id, events), as postcard writes it.
        let told = Some((Actor::parse("a").expect("an actor"), request_id("r"), vec![event]));
        let told = postcard::to_stdvec(&told).expect("it can be written");
        let mut bytes = encode(&Group { header: header.clone(), entries: Vec::new() });
        let count = bytes.len() - 4;
        bytes[count..].copy_from_slice(&1_u32.to_le_bytes());
        bytes.extend(told);
        let length = u32::try_from(bytes.len()).expect("small").to_le_bytes();
        bytes[2..6].copy_from_slice(&length);
        let Err(GroupError::Damaged(why)) = group::decode(&bytes) else { panic!("it was read") };
        assert!(why.contains("not theirs"), "{why}");
    }
}
