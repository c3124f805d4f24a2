//! `GET /products`: found by words and filters, page by page.

use axum::extract::{Query as UrlQuery, State};
use axum::response::Response;
use http::Uri;
use kontor_api::Code;
use kontor_api::page::{Page, QUERY_ATTRIBUTES_MAX, QUERY_BYTES_MAX};
use kontor_api::path;
use kontor_api::product::Product;
use kontor_core::id::{LocationId, Sku};
use kontor_core::index::words;
use kontor_core::money::Currency;
use kontor_core::product::Status;
use kontor_core::product::text::{AttributeText, MarketId, Name};
use kontor_core::refusal::Refusal;
use kontor_core::time::SiteTime;
use kontor_site::clock::wall_ms;
use kontor_site::reader::Reader;
use kontor_site::search::{Cursor, Hit, Order, PriceBand, Query, Shelves};
use utoipa::IntoParams;

use super::products::shown;
use super::{listed, page_size};
use crate::app::App;
use crate::convert::{self, Audience};
use crate::cursor::List;
use crate::extract::Caller;
use crate::parse;
use crate::problem::Problem;

/// As callers give it. Read by hand, because `attribute` may be given more than once.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1, value_type = Option<u32>)]
    page_size: Option<String>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
    /// Only the product that sells this SKU; goes with no other filter.
    sku: Option<String>,
    /// Words, each of which must begin a word of a title, of the brand, a SKU or a GTIN.
    #[param(max_length = 500)]
    q: Option<String>,
    /// Only of this category; capitals and accents do not matter here and in the next.
    #[param(max_length = 200)]
    category: Option<String>,
    /// Only of this brand.
    #[param(max_length = 200)]
    brand: Option<String>,
    /// `draft`, `active`, `archived` or `all`. Drafts and active ones if not given. Without a key there are
    /// active ones alone.
    status: Option<String>,
    /// `name:value`: only with this attribute, of the product or of a variant. May be given more than once.
    #[param(required = false)]
    attribute: Vec<String>,
    /// Lays titles, attributes and prices of this market over the products'.
    #[param(max_length = 32)]
    market: Option<String>,
    /// Only with a price in force in this currency.
    #[param(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// The least such price, as in `12.50`; needs a currency.
    min_price: Option<String>,
    /// The greatest such price; needs a currency.
    max_price: Option<String>,
    /// `true`: only what can be promised now.
    available: Option<String>,
    /// With `available`: at this location.
    location: Option<String>,
    /// `title`, or `price`, which needs a currency. As the narrowest filter has them if not given.
    sort: Option<String>,
}

/// Find products
///
/// By words and filters, all of which must hold. For everybody; without a key, those that are for sale.
/// A page may be short, or empty, and still have a next one: it ends after a bounded number of rows.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "products", operation_id = "list_products", security(()),
    params(ListParams),
    responses((status = 200, description = "One page of products", body = Page<Product>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    let audience = caller.audience();
    let params = ListParams::read(&uri)?;
    let size = params
        .page_size
        .as_deref()
        .map(|size| size.parse().map_err(|_| Problem::invalid("page_size", "a whole number is expected")));
    let size = page_size(size.transpose()?)?;
    app.read(move |reader| {
        let filters = params.filters();
        let given: Vec<&str> = filters.iter().flat_map(|(name, value)| [*name, value.unwrap_or_default()]).collect();
        let list = List { path: path::PRODUCTS, filters: &given };
        let after = params.page_token.as_ref().map(|token| list.place(token)).transpose()?;
        if let Some(sku) = &params.sku {
            let items = with_sku(reader, audience, sku, &params)?;
            return listed(&list, size, &filters, items, None);
        }
        let query = params.query(audience)?;
        if let Some(Shelves::At(location)) = &query.available
            && reader.location(location)?.is_none()
        {
            return Err(Refusal::UnknownLocation { location: location.clone() }.into());
        }
        let after = after.map(|place| Cursor::parse(&place).ok_or_else(elsewhere)).transpose()?;
        let page = reader.search(&query, after.as_ref(), size)?.ok_or_else(elsewhere)?;
        metrics::counter!("kontor_searches_total").increment(1);
        metrics::counter!("kontor_search_rows_total").increment(page.rows as u64);
        let items = page.items.iter().map(|hit| told(audience, &query, hit)).collect::<Result<Vec<_>, _>>()?;
        listed(&list, size, &filters, items, page.next.map(|next| next.to_string()))
    })
    .await
}

fn elsewhere() -> Problem {
    Problem::new(Code::InvalidPageToken, "page_token names no place of this list; begin with the first page")
}

fn told(audience: Audience, query: &Query, hit: &Hit) -> Result<Product, Problem> {
    let mut shown = convert::product::product_for(audience, &hit.id, &hit.product)?;
    if let Some(market) = &query.market {
        convert::product::lay_over(&mut shown, &hit.product, market, hit.listing.as_ref())?;
    }
    Ok(shown)
}

/// The product that sells a SKU, whatever its status, if there is one for this reader.
fn with_sku(reader: &Reader, audience: Audience, sku: &str, params: &ListParams) -> Result<Vec<Product>, Problem> {
    if params.filters().iter().any(|(name, value)| value.is_some() && !["sku", "market"].contains(name)) {
        return Err(Problem::invalid("sku", "goes with no other filter"));
    }
    let sku = parse::at("sku", Sku::parse(sku))?;
    let market = parse::optional("market", params.market.clone(), MarketId::parse)?;
    let Some(item) = reader.item(&sku)? else { return Ok(Vec::new()) };
    let Some(product) = reader.product(&item.product)? else { return Ok(Vec::new()) };
    Ok(shown(reader, audience, &item.product, &product, market.as_ref())?.into_iter().collect())
}

impl ListParams {
    fn read(uri: &Uri) -> Result<Self, Problem> {
        let UrlQuery(pairs) = UrlQuery::<Vec<(String, String)>>::try_from_uri(uri)?;
        let mut params = Self::default();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "page_size" => &mut params.page_size,
                "page_token" => &mut params.page_token,
                "sku" => &mut params.sku,
                "q" => &mut params.q,
                "category" => &mut params.category,
                "brand" => &mut params.brand,
                "status" => &mut params.status,
                "market" => &mut params.market,
                "currency" => &mut params.currency,
                "min_price" => &mut params.min_price,
                "max_price" => &mut params.max_price,
                "available" => &mut params.available,
                "location" => &mut params.location,
                "sort" => &mut params.sort,
                "attribute" => {
                    params.attribute.push(value);
                    continue;
                }
                // Without its value, which may be a key that was put there by mistake.
                _ => return Err(Problem::invalid("query", format!("no parameter {name:?} is known here"))),
            };
            if place.replace(value).is_some() {
                return Err(Problem::invalid(name, "is given twice"));
            }
        }
        Ok(params)
    }

    /// What the list depends on, and a page of it is bound to.
    fn filters(&self) -> Vec<(&'static str, Option<&str>)> {
        let mut filters = vec![
            ("sku", self.sku.as_deref()),
            ("q", self.q.as_deref()),
            ("category", self.category.as_deref()),
            ("brand", self.brand.as_deref()),
            ("status", self.status.as_deref()),
            ("market", self.market.as_deref()),
            ("currency", self.currency.as_deref()),
            ("min_price", self.min_price.as_deref()),
            ("max_price", self.max_price.as_deref()),
            ("available", self.available.as_deref()),
            ("location", self.location.as_deref()),
            ("sort", self.sort.as_deref()),
        ];
        filters.extend(self.attribute.iter().map(|attribute| ("attribute", Some(attribute.as_str()))));
        filters
    }

    fn query(&self, audience: Audience) -> Result<Query, Problem> {
        if self.q.as_ref().is_some_and(|words| words.len() > QUERY_BYTES_MAX) {
            return Err(Problem::invalid("q", format!("has more than {QUERY_BYTES_MAX} bytes")));
        }
        if self.attribute.len() > QUERY_ATTRIBUTES_MAX {
            let why = format!("{} are given; at most {QUERY_ATTRIBUTES_MAX} are taken", self.attribute.len());
            return Err(Problem::invalid("attribute", why));
        }
        // Of blanks alone nothing is asked.
        let words = self.q.as_deref().map(str::trim).filter(|words| !words.is_empty());
        Ok(Query {
            words: words.map(words::query),
            category: parse::optional("category", self.category.clone(), Name::parse)?,
            brand: parse::optional("brand", self.brand.clone(), Name::parse)?,
            attributes: self.attribute.iter().map(|given| attribute(given)).collect::<Result<_, _>>()?,
            statuses: self.statuses(audience)?,
            market: parse::optional("market", self.market.clone(), MarketId::parse)?,
            price: self.price()?,
            available: self.shelves()?,
            order: self.order()?,
            now: SiteTime(wall_ms()),
        })
    }

    fn statuses(&self, audience: Audience) -> Result<Vec<Status>, Problem> {
        let wanted = match self.status.as_deref() {
            None => vec![Status::Draft, Status::Active],
            Some("draft") => vec![Status::Draft],
            Some("active") => vec![Status::Active],
            Some("archived") => vec![Status::Archived],
            Some("all") => Vec::new(),
            Some(_) => return Err(Problem::invalid("status", "draft, active, archived or all is expected")),
        };
        match audience {
            Audience::Keys => Ok(wanted),
            Audience::Everybody if wanted.is_empty() || wanted.contains(&Status::Active) => Ok(vec![Status::Active]),
            Audience::Everybody => {
                Err(Problem::new(Code::Unauthenticated, "only holders of keys see products that are not for sale"))
            }
        }
    }

    fn price(&self) -> Result<Option<PriceBand>, Problem> {
        let Some(currency) = &self.currency else {
            for (name, given) in [("min_price", &self.min_price), ("max_price", &self.max_price)] {
                if given.is_some() {
                    return Err(Problem::invalid(name, "needs a currency"));
                }
            }
            return Ok(None);
        };
        let currency = parse::at("currency", Currency::parse(currency))?;
        let bound = |name: &str, given: &Option<String>, other: u64| match given {
            Some(text) => parse::product::amount(name, text, currency),
            None => Ok(other),
        };
        let min = bound("min_price", &self.min_price, 0)?;
        let max = bound("max_price", &self.max_price, u64::MAX)?;
        Ok(Some(PriceBand { currency, min, max }))
    }

    fn shelves(&self) -> Result<Option<Shelves>, Problem> {
        match (self.available.as_deref(), &self.location) {
            (None, None) => Ok(None),
            (Some("true"), None) => Ok(Some(Shelves::Any)),
            (Some("true"), Some(id)) => Ok(Some(Shelves::At(parse::at("location", LocationId::parse(id.as_str()))?))),
            (Some(_), _) => Err(Problem::invalid("available", "true is expected, or nothing")),
            (None, Some(_)) => Err(Problem::invalid("location", "goes with available=true")),
        }
    }

    fn order(&self) -> Result<Order, Problem> {
        match self.sort.as_deref() {
            None => Ok(Order::Narrowest),
            Some("title") => Ok(Order::Title),
            Some("price") if self.currency.is_some() => Ok(Order::Price),
            Some("price") => Err(Problem::invalid("sort", "price needs a currency")),
            Some(_) => Err(Problem::invalid("sort", "title or price is expected")),
        }
    }
}

/// `name:value`; a colon in the value belongs to it.
fn attribute(given: &str) -> Result<(Name, String), Problem> {
    let (name, value) = given.split_once(':').ok_or_else(|| Problem::invalid("attribute", "name:value is expected"))?;
    let value = parse::at("attribute", AttributeText::parse(value))?;
    Ok((parse::at("attribute", Name::parse(name))?, value.to_string()))
}
