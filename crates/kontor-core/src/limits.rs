//! Every number at which Kontor says "no more", with its reason. Messages, checks and the API
//! document read the same constants.

/// SKUs and product ids, in bytes. GS1 keys have at most 30 characters, real catalogues use 40, contracts of
/// shops allow 100; they are part of every row key, and [`LINES_MAX`] of them fit into an entry.
pub const SKU_BYTES_MAX: usize = 100;

/// Location ids, in bytes; part of every stock key.
pub const LOCATION_BYTES_MAX: usize = 64;

/// Site names, in bytes; part of every row key and of every position that is shown.
pub const SITE_BYTES_MAX: usize = 32;

/// Titles and names, in bytes. Marketplaces cut titles at 200 characters.
pub const TITLE_BYTES_MAX: usize = 500;

/// Brands, categories, options and names of attributes, in bytes. The longest path of Google's product
/// taxonomy has 140, contracts of shops allow 200 for a manufacturer. Index keys hold their beginning.
pub const NAME_BYTES_MAX: usize = 200;

/// Descriptions, in bytes. Marketplaces cut at 2,000 to 5,000 characters; a product is read whole.
pub const DESCRIPTION_BYTES_MAX: usize = 8 * 1024;

/// Words of one attribute, in bytes: a sentence, not a text.
pub const ATTRIBUTE_TEXT_BYTES_MAX: usize = 1024;

/// Texts of one attribute that is a list.
pub const ATTRIBUTE_LIST_MAX: usize = 100;

/// Language tags, in bytes: what BCP 47 asks every program to take.
pub const LANGUAGE_BYTES_MAX: usize = 35;

/// Market ids, in bytes; part of every listing key.
pub const MARKET_BYTES_MAX: usize = 32;

/// Addresses of media, in bytes. Browsers and proxies take no more for certain.
pub const URL_BYTES_MAX: usize = 2 * 1024;

/// References, reasons, owners, actors and request ids, in bytes. Enough for a UUID with a prefix
/// or an invoice number; they are repeated in movements and in the journal.
pub const LABEL_BYTES_MAX: usize = 128;

/// Units in one line or one counter. Sums of a million of them stay far below 2^53, so that
/// JavaScript reads every total exactly.
pub const QUANTITY_MAX: u64 = 1_000_000_000;

/// Units in a cumulative counter: beyond it JavaScript, and a sum over sites, would lose units.
pub const COUNTER_MAX: u64 = 1 << 53;

/// Lines of one command. The largest invoice of a real wholesaler has 1,114; with the longest ids
/// an entry of 1,200 lines stays below [`ENTRY_BYTES_MAX`].
pub const LINES_MAX: usize = 1_200;

/// Lines of one transfer. What is asked for, held and promised of each stands in the same entry where both
/// locations have one home.
pub const TRANSFER_LINES_MAX: usize = 300;

/// How long the units of a transfer that was accepted are held for the asker's confirm. Confirming takes one
/// exchange of journals; a day is a long cut, and after it the target tries once more.
pub const TRANSFER_HOLD_MS: u64 = 24 * 3_600_000;

/// How long a site that was asked for units of a transfer borrows what it may not promise, before it declines.
/// An ask and its answer are one exchange of journals each way; a minute is six asks, and as long as somebody
/// who wants a van sent waits for a word.
pub const TRANSFER_BORROW_MS: u64 = 60_000;

/// Offers that a site sees to in one group, each in an entry of its own.
pub const OFFERS_PER_TICK: usize = 16;

/// Commands in one entry. What callers do in one go is an item, its place, its price, its stock and a
/// check or two; longer lists have commands of their own.
pub const ALL_COMMANDS_MAX: usize = 8;

/// Variants of one product. Marketplaces allow 100 to 2,000; a product is one row and is read whole.
pub const VARIANTS_MAX: usize = 200;

/// Categories of one product.
pub const CATEGORIES_MAX: usize = 20;

/// Options of one product. Marketplaces allow three to five; shoppers give up before.
pub const OPTIONS_MAX: usize = 5;

/// Attributes of one product; of a variant half as many.
pub const ATTRIBUTES_MAX: usize = 100;

/// Attributes of one variant alone.
pub const VARIANT_ATTRIBUTES_MAX: usize = 50;

/// Pictures and documents of one product.
pub const MEDIA_MAX: usize = 50;

/// Languages of one product: more than any of its readers speak.
pub const TRANSLATIONS_MAX: usize = 50;

/// Prices of one variant outside of markets: a few currencies, each with the sales of some years.
pub const PRICES_MAX: usize = 100;

/// Words of a product's titles and brand by which it is found.
pub const INDEX_WORDS_MAX: usize = 64;

/// SKUs and GTINs of a product by which it is found, whole and in parts.
pub const INDEX_CODES_MAX: usize = 1_000;

/// Attributes of a product and its variants by which it is found.
pub const INDEX_ATTRIBUTES_MAX: usize = 200;

/// Bytes of a word, of a title and of an attribute in the index: shoppers type less, and a key that is
/// short is read fast. What is cut off is compared with the product itself.
pub const INDEX_WORD_BYTES_MAX: usize = 24;

/// Prices of one product in one market.
pub const LISTING_PRICES_MAX: usize = 500;

/// Markets in which one product says something of its own. There are 249 country codes.
pub const MARKETS_MAX: usize = 300;

/// Bytes of one product, whatever they are made of: it is read and written whole.
pub const PRODUCT_BYTES_MAX: usize = 256 * 1024;

/// How an import is read, in bytes: a mapping of some dozen columns.
pub const JOB_OPTIONS_BYTES_MAX: usize = 4 * 1024;

/// Why a line of an import was refused, in bytes: a sentence.
pub const OUTCOME_BYTES_MAX: usize = 200;

/// Lines of an import in one command. Some 250 products of a thousand bytes fill an entry.
pub const UPSERT_LINES_MAX: usize = 1_000;

/// Edits of a product since a line of an import, up to which undoing looks whether somebody has changed
/// what the line set. Beyond it the line is left as it is.
pub const UNDO_LOOKS_BACK_MAX: usize = 500;

/// Bytes of one entry, before compression. A DynamoDB item holds 400 KB, and a group is one item.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of an entry besides its lines and the holds that it ends: labels, ids and times.
pub const HEAD_BYTES_MAX: usize = 1024;

/// Bytes of one line besides its SKU and location: lengths and numbers.
pub const LINE_NUMBERS_BYTES_MAX: usize = 40;

/// Bytes of one group. Leaves room in a DynamoDB item of 400 KB for its attributes.
pub const GROUP_BYTES_MAX: usize = 350 * 1024;

/// Holds that one tick of the timer ends, so that a wave of expiries never stalls the writer. Fewer,
/// if they have so many lines that their endings would not fit into one entry.
pub const DUE_HOLDS_PER_TICK: usize = 256;

/// Due holds that one command ends to make room for itself, as far as they fit into its entry; the
/// timer ends the others.
pub const DUE_HOLDS_PER_COMMAND: usize = 500;

/// The shortest and the longest hold, and the one given when the caller names none.
pub const HOLD_MS_MIN: u64 = 1_000;
/// Thirty days: longer holds are orders.
pub const HOLD_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// Fifteen minutes, what shops give a checkout.
pub const HOLD_MS_DEFAULT: u64 = 15 * 60_000;

/// Days for which the answer of a key is remembered, of 24 hours each. Each day of the calendar has its own
/// table, and the oldest is emptied whole when a day starts.
pub const IDEMPOTENCY_DAYS: u64 = 7;

/// Reservations named as being at risk in one answer; the list itself is paged.
pub const AT_RISK_MAX: usize = 100;

/// How far in the past or the future a caller may say that something occurred.
pub const OCCURRED_PAST_MS_MAX: u64 = 365 * 24 * 3_600_000;
/// Clocks of tills run a little fast.
pub const OCCURRED_FUTURE_MS_MAX: u64 = 10 * 60_000;

/// How long a peer waits for something new before it answers that there is nothing. Proxies keep a request
/// for 30 seconds and more.
pub const ASK_WAIT_MS: u64 = 20_000;

/// How much longer an answer may take before the question is taken for lost. A slow link needs some seconds
/// for what one answer brings.
pub const ASK_DEADLINE_MS: u64 = 10_000;

/// Between two questions to a peer that answers at once that there is nothing.
pub const ASK_REST_MS: u64 = 50;

/// After the first failure; twice as much after each further one.
pub const BACK_OFF_MS: u64 = 100;

/// The longest rest between two questions. A link that is healed is found healed within this time.
pub const BACK_OFF_MS_MAX: u64 = 10_000;

/// Failures in a row after which a link is called cut: a restart of the peer is not one.
pub const CUT_AFTER_FAILURES: u32 = 3;

/// After the first failure of a call to a payment provider; twice as much after each further one.
pub const PAYMENT_BACK_OFF_MS: u64 = 200;

/// Tries of a call after the first while somebody waits for it, and the longest rest between two of them: a
/// shopper waits five seconds.
pub const PAYMENT_RETRIES: u32 = 3;
/// A provider that wants to be left alone for longer is left to the background.
pub const PAYMENT_RETRY_MS_MAX: u64 = 2_000;

/// The rest between two tries of a call for which nobody waits grows up to this. A provider that is well again
/// is found so within it.
pub const PAYMENT_REST_MS_MAX: u64 = 60_000;

/// After the first failure of what is made up to show how tries go, and the longest rest between two: the numbers
/// of the reference service that shows it.
pub const SHOWN_BACK_OFF_MS: u64 = 100;
/// See [`SHOWN_BACK_OFF_MS`].
pub const SHOWN_REST_MS_MAX: u64 = 1_000;

/// A provider may ask to be left alone for so long, and no longer: a mistaken header is not to stop a shop.
pub const PAYMENT_AFTER_MS_MAX: u64 = 15 * 60_000;

/// Failures in a row after which a payment provider is left alone. One may be a lost packet; each costs a
/// shopper the time that it takes to fail.
pub const PAYMENT_FAILURES_TO_OPEN: u32 = 3;

/// Successes in a row that show it to be well again, and the most calls that try it at a time.
pub const PAYMENT_SUCCESSES_TO_CLOSE: u32 = 2;

/// For how long it is left alone.
pub const PAYMENT_OPEN_MS: u64 = 10_000;

/// How long a journal that an open link should bring may stand still, while somebody else holds more of it,
/// before it is read from there: whoever wrote it may have lost what it once gave.
pub const RELAY_AFTER_MS: u64 = 2_000;

/// Other sites whose journals are read because a peer has told of them. The largest sellers have some hundred
/// stores; a peer that makes up names is not to fill the disk.
pub const JOURNALS_MAX: usize = 1_000;

/// Items whose quota is seen to in one entry. With all that can be said of each it fits into one.
pub const QUOTA_ITEMS_PER_TICK: usize = 48;

/// Sites that are answered about one item at a time, and sites that are asked; the others come next.
pub const QUOTA_ANSWERS_PER_ITEM: usize = 8;
/// Whoever has most is asked first, and mostly has enough.
pub const QUOTA_ASKS_PER_ITEM: usize = 4;

/// How long a site waits for an answer before it asks others for the same units, how long it keeps for a
/// buyer what it has borrowed, and when it asks again where it was declined. A shopper's patience.
pub const QUOTA_ASK_MS: u64 = 10_000;

/// An ask is answered with nothing if its site has gone on for so long since it ran out. A link that is slow
/// delivers within the hour; a site that was away for longer has forgotten what its buyers wanted.
pub const QUOTA_STALE_MS: u64 = 3_600_000;

/// Units per site below which a shelf is not shared any more: what is left gathers at one site. A share of
/// three units is sold before a batch of it has come.
pub const QUOTA_SHARE_UNITS_MIN: u64 = 4;

/// Bytes of a personal field once it is sealed: a name or an address with all its lines.
pub const SEALED_BYTES_MAX: usize = 4_096;

/// Addresses of one customer: a household, a chain of shops that buys for itself.
pub const CUSTOMER_ADDRESSES_MAX: usize = 20;

/// Amounts that are added to one cart or order: shipping, some taxes, some discounts.
pub const AMOUNTS_MAX: usize = 50;

/// Open carts of one customer, so that nobody fills the tables by opening carts: one per device and then some.
pub const CARTS_OF_CUSTOMER_MAX: usize = 20;

/// Open orders of one customer, each of which holds units that nobody has paid for: hoarders stop here.
pub const OPEN_ORDERS_OF_CUSTOMER_MAX: usize = 10;

/// Units of one SKU in one cart, unless its product says otherwise.
pub const CART_QUANTITY_MAX: u64 = 1_000_000;

/// Days after its last change on which a cart that nobody came back to is swept.
pub const CART_DAYS: u64 = 7;

/// Carts that one tick of the timer sweeps.
pub const CARTS_PER_TICK: usize = 256;

/// How long a cart holds the units of items that are held as soon as they are in a cart; each change of its
/// lines begins it anew.
pub const CART_HOLD_MS: u64 = 15 * 60_000;

/// How long an order holds its units while it is not paid, if the caller does not say otherwise.
pub const ORDER_HOLD_MS_DEFAULT: u64 = 30 * 60_000;

/// Payments of one order: cards that were tried.
pub const PAYMENTS_MAX: u16 = 20;

/// Calls of one payment: refunds of a large order, line by line.
pub const PAYMENT_CALLS_MAX: u16 = 2_000;

/// Bytes of a title that an order keeps: what fits on a line of a bill.
pub const ORDER_TITLE_BYTES_MAX: usize = 120;
