//! Every path, once. `{id}` and `{sku}` stand for one percent-encoded segment.

/// What all paths of this version begin with.
pub const V1: &str = "/api/v1";

/// Whether what is posted to a path moves stock or money, or adds to something, and so must carry a key.
pub fn needs_key(path: &str) -> bool {
    [STOCK, RESERVATIONS, TRANSFERS, ORDERS].iter().any(|prefix| path.starts_with(prefix))
        || [CART_LINES, CART_MERGE, CHECKOUT, CAPTURE_PAYMENT, RESUME_PAYMENT].contains(&path)
}

/// Whether writes under a path carry what is personal.
pub fn holds_personal(path: &str) -> bool {
    [CUSTOMERS, "/api/v1/carts", "/api/v1/orders"].iter().any(|prefix| path.starts_with(prefix))
}

/// Products: list, create.
pub const PRODUCTS: &str = "/api/v1/products";
/// One product: read, change, delete.
pub const PRODUCT: &str = "/api/v1/products/{id}";
/// Variants of a product: add.
pub const VARIANTS: &str = "/api/v1/products/{id}/variants";
/// One variant: change.
pub const VARIANT: &str = "/api/v1/products/{id}/variants/{sku}";
/// Ends the sale of a product.
pub const ARCHIVE: &str = "/api/v1/products/{id}/archive";
/// Begins it again.
pub const ACTIVATE: &str = "/api/v1/products/{id}/activate";
/// Markets in which a product says something of its own: list.
pub const MARKETS: &str = "/api/v1/products/{id}/markets";
/// What a product says in one market: read, change.
pub const MARKET: &str = "/api/v1/products/{id}/markets/{market}";
/// What was edited of a product, by whom.
pub const REVISIONS: &str = "/api/v1/products/{id}/revisions";
/// What was edited of a product at two sites at once.
pub const CONFLICTS: &str = "/api/v1/products/{id}/conflicts";
/// All products that were edited at two sites at once.
pub const ALL_CONFLICTS: &str = "/api/v1/conflicts";
/// Many products by id or SKU: read.
pub const PRODUCTS_BATCH: &str = "/api/v1/products/batch-get";
/// Products as lines of JSON: make or change many.
pub const PRODUCTS_BULK: &str = "/api/v1/products/bulk";
/// Locations: list, open.
pub const LOCATIONS: &str = "/api/v1/locations";
/// One location: read, rename.
pub const LOCATION: &str = "/api/v1/locations/{id}";
/// Stock of all SKUs: list.
pub const STOCK: &str = "/api/v1/stock";
/// Stock of one SKU: read.
pub const STOCK_OF_SKU: &str = "/api/v1/stock/{sku}";
/// The arithmetic behind the stock of one SKU.
pub const EXPLAIN: &str = "/api/v1/stock/{sku}/explain";
/// Units came in.
pub const RECEIVE: &str = "/api/v1/stock/receive";
/// Units came back from a customer.
pub const RETURN: &str = "/api/v1/stock/return";
/// Units were sold over the counter.
pub const ISSUE: &str = "/api/v1/stock/issue";
/// Committed units were handed out.
pub const SHIP: &str = "/api/v1/stock/ship";
/// Units broke, expired or were lost.
pub const WRITE_OFF: &str = "/api/v1/stock/write-off";
/// A person counted what is there.
pub const COUNT: &str = "/api/v1/stock/count";
/// Sets what is not for sale.
pub const ADJUST: &str = "/api/v1/stock/adjust";
/// Reservations: list live ones, make.
pub const RESERVATIONS: &str = "/api/v1/reservations";
/// One reservation: read.
pub const RESERVATION: &str = "/api/v1/reservations/{id}";
/// Gives a hold another deadline.
pub const EXTEND: &str = "/api/v1/reservations/{id}/extend";
/// Turns a hold into a promise.
pub const COMMIT: &str = "/api/v1/reservations/{id}/commit";
/// Gives a hold back.
pub const RELEASE: &str = "/api/v1/reservations/{id}/release";
/// Transfers: list, ask for one.
pub const TRANSFERS: &str = "/api/v1/transfers";
/// One transfer: read.
pub const TRANSFER: &str = "/api/v1/transfers/{id}";
/// Takes back what was asked for.
pub const WITHDRAW_TRANSFER: &str = "/api/v1/transfers/{id}/withdraw";
/// Hands out its units.
pub const DISPATCH_TRANSFER: &str = "/api/v1/transfers/{id}/dispatch";
/// Books what has arrived of it.
pub const RECEIVE_TRANSFER: &str = "/api/v1/transfers/{id}/receive";
/// Customers: list, find, make.
pub const CUSTOMERS: &str = "/api/v1/customers";
/// One customer: read, change.
pub const CUSTOMER: &str = "/api/v1/customers/{id}";
/// Forgets a person.
pub const ERASE_CUSTOMER: &str = "/api/v1/customers/{id}/erase";
/// Carts: open one.
pub const CARTS: &str = "/api/v1/carts";
/// One cart: read, change.
pub const CART: &str = "/api/v1/carts/{id}";
/// Lines of a cart: add units.
pub const CART_LINES: &str = "/api/v1/carts/{id}/lines";
/// One line of a cart: set, take away.
pub const CART_LINE: &str = "/api/v1/carts/{id}/lines/{sku}";
/// Takes the prices of the catalogue as they are now.
pub const ACCEPT_PRICES: &str = "/api/v1/carts/{id}/accept-prices";
/// Puts what is in another cart into this one.
pub const CART_MERGE: &str = "/api/v1/carts/{id}/merge";
/// Places an order from a cart.
pub const CHECKOUT: &str = "/api/v1/carts/{id}/checkout";
/// Open carts of a customer.
pub const CARTS_OF_CUSTOMER: &str = "/api/v1/customers/{id}/carts";
/// Orders: list.
pub const ORDERS: &str = "/api/v1/orders";
/// One order: read.
pub const ORDER: &str = "/api/v1/orders/{id}";
/// What became of an order.
pub const TIMELINE: &str = "/api/v1/orders/{id}/timeline";
/// Begins another payment of an order.
pub const PAY_ORDER: &str = "/api/v1/orders/{id}/payments";
/// Cancels an order.
pub const CANCEL_ORDER: &str = "/api/v1/orders/{id}/cancel";
/// Gives money back, and takes goods back.
pub const REFUND_ORDER: &str = "/api/v1/orders/{id}/refunds";
/// Hands out what was promised to an order.
pub const SHIP_ORDER: &str = "/api/v1/orders/{id}/ship";
/// Payments: list those that wait for somebody.
pub const PAYMENTS: &str = "/api/v1/payments";
/// One payment: read.
pub const PAYMENT: &str = "/api/v1/payments/{id}";
/// Pays out what was set aside.
pub const CAPTURE_PAYMENT: &str = "/api/v1/payments/{id}/capture";
/// Makes a call that was parked again.
pub const RESUME_PAYMENT: &str = "/api/v1/payments/{id}/resume";
/// Exchanges a card for what stands for it.
pub const PAYMENT_TOKENS: &str = "/api/v1/payments/tokens";
/// What a payment provider tells by itself.
pub const PAYMENT_CALLBACKS: &str = "/api/v1/payments/callbacks";
/// The stock ledger.
pub const MOVEMENTS: &str = "/api/v1/movements";
/// The change feed.
pub const CHANGES: &str = "/api/v1/changes";
/// Jobs: list, start.
pub const JOBS: &str = "/api/v1/jobs";
/// One job: read.
pub const JOB: &str = "/api/v1/jobs/{id}";
/// Rows of a job: send the next ones, read what became of them.
pub const JOB_ROWS: &str = "/api/v1/jobs/{id}/rows";
/// Says that a job has all its rows.
pub const JOB_FINISH: &str = "/api/v1/jobs/{id}/finish";
/// Undoes a step of a job.
pub const JOB_UNDO: &str = "/api/v1/jobs/{id}/undo";
/// All products, as lines of JSON.
pub const EXPORT_PRODUCTS: &str = "/api/v1/export/products";
/// All levels, as lines of JSON.
pub const EXPORT_STOCK: &str = "/api/v1/export/stock";
/// Keys that were refused.
pub const REFUSALS: &str = "/api/v1/security/refusals";
/// Sites whose journals are read: list, let one in.
pub const SITES: &str = "/api/v1/sites";
/// Links to other sites: add.
pub const SITE_LINKS: &str = "/api/v1/sites/links";
/// This site's journal, for other sites.
pub const SITE_JOURNAL: &str = "/api/v1/sites/journal";
/// The journal of another site, which gives it to this one: the site cannot be reached from here.
pub const SITE_JOURNAL_OF: &str = "/api/v1/sites/{site}/journal";
/// This API's document.
pub const OPENAPI: &str = "/api/v1/openapi.json";

/// Whether the process runs.
pub const LIVEZ: &str = "/livez";
/// Whether it takes requests.
pub const READYZ: &str = "/readyz";
/// How it is doing.
pub const HEALTH: &str = "/health";
/// Figures for Prometheus.
pub const METRICS: &str = "/metrics";
/// The API's document, readable.
pub const DOCS: &str = "/docs";
/// What a problem's `type` points to, followed by its code.
pub const PROBLEMS: &str = "/problems/";

/// Puts values into a path, in the order of its `{…}` segments, percent-encoded.
///
/// ```
/// use kontor_api::path;
/// assert_eq!(path::with(path::STOCK_OF_SKU, &["Rio 20/30"]), "/api/v1/stock/Rio%2020%2F30");
/// ```
pub fn with(template: &str, values: &[&str]) -> String {
    let mut path = String::with_capacity(template.len() + 32);
    let mut values = values.iter();
    for segment in template.split('/').skip(1) {
        path.push('/');
        match values.as_slice().first() {
            Some(value) if segment.starts_with('{') => {
                encode(value, &mut path);
                values.next();
            }
            _ => path.push_str(segment),
        }
    }
    path
}

/// Percent-encodes all but unreserved characters.
pub fn encode(value: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(byte.into()),
            _ => into.extend(['%', HEX[usize::from(byte >> 4)].into(), HEX[usize::from(byte & 15)].into()]),
        }
    }
}
