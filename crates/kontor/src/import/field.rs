//! The fields that a column may be: the names in `--map`, in the headers of exports, and in `docs/import.md`.

/// A field of a product, a variant, or a row of stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    // Of the product.
    Id,
    Title,
    TitleIn(String),
    Description,
    DescriptionIn(String),
    Brand,
    Status,
    Categories,
    Options,
    Attributes,
    Attribute(String, Kind),
    Media,
    Image,
    Translations,
    Merge,
    Markets,
    // Of the variant.
    Sku,
    Gtin,
    VariantTitle,
    VariantOptions,
    Option(String),
    VariantAttributes,
    VariantAttribute(String, Kind),
    Policy,
    BackorderLimit,
    Price,
    PriceIn(String),
    Currency,
    Prices,
    // Of stock.
    Location,
    Quantity,
}

/// What the text of an attribute's cell is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Decimal,
    Boolean,
    List,
}

/// Fields with a name of their own. The first name of a field is the one that exports write.
const NAMES: &[(&str, Field)] = &[
    ("id", Field::Id),
    ("sku", Field::Sku),
    ("title", Field::Title),
    ("description", Field::Description),
    ("brand", Field::Brand),
    ("status", Field::Status),
    ("categories", Field::Categories),
    ("options", Field::Options),
    ("attributes", Field::Attributes),
    ("media", Field::Media),
    ("image", Field::Image),
    ("translations", Field::Translations),
    ("merge", Field::Merge),
    ("markets", Field::Markets),
    ("gtin", Field::Gtin),
    ("variant.title", Field::VariantTitle),
    ("variant.options", Field::VariantOptions),
    ("variant.attributes", Field::VariantAttributes),
    ("policy", Field::Policy),
    ("backorder_limit", Field::BackorderLimit),
    ("price", Field::Price),
    ("currency", Field::Currency),
    ("prices", Field::Prices),
];

/// The same of a row of stock; `on_hand` is what a list of levels calls the quantity.
const STOCK_NAMES: &[(&str, Field)] = &[
    ("sku", Field::Sku),
    ("location", Field::Location),
    ("quantity", Field::Quantity),
    ("on_hand", Field::Quantity),
    ("counted", Field::Quantity),
];

const KINDS: &[(&str, Kind)] = &[
    ("text", Kind::Text),
    ("integer", Kind::Integer),
    ("decimal", Kind::Decimal),
    ("boolean", Kind::Boolean),
    ("list", Kind::List),
];

impl Field {
    /// Reads the name of a product's or variant's field.
    pub(crate) fn of_product(name: &str) -> Option<Self> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        if let Some((_, field)) = known {
            return Some(field.clone());
        }
        let (prefix, rest) = ["variant.attribute.", "attribute.", "option.", "price.", "title.", "description."]
            .iter()
            .find_map(|prefix| Some((*prefix, name.strip_prefix(prefix)?)))?;
        if rest.is_empty() {
            return None;
        }
        let own = || rest.to_owned();
        Some(match prefix {
            "variant.attribute." => typed(rest, Self::VariantAttribute),
            "attribute." => typed(rest, Self::Attribute),
            "option." => Self::Option(own()),
            "price." => Self::PriceIn(own()),
            "title." => Self::TitleIn(own()),
            _ => Self::DescriptionIn(own()),
        })
    }

    /// Reads the name of a field of stock.
    pub(crate) fn of_stock(name: &str) -> Option<Self> {
        STOCK_NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| field.clone())
    }

    /// Whether it can be different from market to market.
    pub(crate) fn is_of_a_market(&self) -> bool {
        use Field::{Attribute, Attributes, Currency, Description, Id, Price, PriceIn, Sku, Title};
        matches!(self, Id | Sku | Title | Description | Attributes | Attribute(..) | Price | PriceIn(_) | Currency)
    }
}

/// `weight_g:integer` is a name and how its cells are read; a name alone is a text.
fn typed(name: &str, field: fn(String, Kind) -> Field) -> Field {
    let kind = name.rsplit_once(':').and_then(|(name, kind)| {
        let (_, kind) = KINDS.iter().find(|(known, _)| *known == kind)?;
        Some((name, *kind))
    });
    let (name, kind) = kind.unwrap_or((name, Kind::Text));
    field(name.to_owned(), kind)
}

/// Names of fields, for messages.
pub(crate) fn product_names() -> String {
    let own: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    format!(
        "{}, option.NAME, attribute.NAME[:KIND], variant.attribute.NAME[:KIND], price.CURRENCY, title.LANGUAGE, \
         description.LANGUAGE",
        own.join(", ")
    )
}
