//! Edits of products. They are merge patches (RFC 7396): what is not named stays as it is, `null` empties.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::attribute::{AttributeOrNull, AttributeValue};
use crate::listing::SetListingPrice;
use crate::price::SetPrice;
use crate::product::{Media, Policy, Status, Translation, TranslationOrNull};
use crate::revision::FieldChange;
use crate::time::Time;

/// Adds a product, with its first variant as `sku` or with its `variants`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001", "title": "Walnut desk"}))]
pub struct CreateProduct {
    /// Equal to the first SKU if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub id: Option<String>,
    /// Of the only variant, if there is just one. Case-sensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub sku: Option<String>,
    /// What shoppers read.
    #[schema(min_length = 1, max_length = 500)]
    pub title: String,
    /// When stock of `sku` is promised; `reserve_on_order` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Units of `sku` that each location may promise beyond its stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub backorder_limit: Option<u64>,
    /// What they read when they want to know more. Lines may be broken.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 8192, pattern = r"^\S([\s\S]*\S)?$")]
    pub description: Option<Option<String>>,
    /// Who makes it.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub brand: Option<Option<String>>,
    /// Whether it can be sold; `active` if not given.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<Status>,
    /// All categories.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, nullable = false)]
    pub categories: Option<Vec<String>>,
    /// All options, in the order in which shoppers are asked.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 5, nullable = false)]
    pub options: Option<Vec<String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// All media, the most important first.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, nullable = false)]
    pub media: Option<Vec<Media>>,
    /// Translations by BCP 47 tag; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, TranslationOrNull>, required = false, nullable = false)]
    pub translations: Option<BTreeMap<String, Option<Translation>>>,
    /// How edits at two sites at once are decided: `latest` or `authority:<site>`; `null` means the former.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(latest|authority:[a-z0-9-]+)$")]
    pub merge: Option<Option<String>>,
    /// Its variants, the first first, if there is no `sku`.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 200, nullable = false)]
    pub variants: Option<Vec<PutVariant>>,
}

/// Changes fields of a product.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Walnut desk, 160 cm"}))]
pub struct ChangeProduct {
    /// What shoppers read.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    pub title: Option<String>,
    /// What they read when they want to know more. Lines may be broken.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 8192, pattern = r"^\S([\s\S]*\S)?$")]
    pub description: Option<Option<String>>,
    /// Who makes it.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub brand: Option<Option<String>>,
    /// Whether it can be sold.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<Status>,
    /// All categories.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, nullable = false)]
    pub categories: Option<Vec<String>>,
    /// All options, in the order in which shoppers are asked.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 5, nullable = false)]
    pub options: Option<Vec<String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// All media, the most important first.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, nullable = false)]
    pub media: Option<Vec<Media>>,
    /// Translations by BCP 47 tag; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, TranslationOrNull>, required = false, nullable = false)]
    pub translations: Option<BTreeMap<String, Option<Translation>>>,
    /// How edits at two sites at once are decided: `latest` or `authority:<site>`; `null` means the former.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(latest|authority:[a-z0-9-]+)$")]
    pub merge: Option<Option<String>>,
}

/// Makes a product or changes it: one line of a bulk request. The product is the one with this id, else
/// the one that has the first SKU, else a new one, which needs a title and a variant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Walnut desk", "variants": [{"sku": "P1001", "prices": [{"currency": "EUR", "amount": "449.00"}]}]}))]
pub struct PutProduct {
    /// Equal to the first SKU if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub id: Option<String>,
    /// What shoppers read.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    pub title: Option<String>,
    /// What they read when they want to know more. Lines may be broken.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 8192, pattern = r"^\S([\s\S]*\S)?$")]
    pub description: Option<Option<String>>,
    /// Who makes it.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub brand: Option<Option<String>>,
    /// Whether it can be sold.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<Status>,
    /// All categories.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, nullable = false)]
    pub categories: Option<Vec<String>>,
    /// All options, in the order in which shoppers are asked.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 5, nullable = false)]
    pub options: Option<Vec<String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// All media, the most important first.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, nullable = false)]
    pub media: Option<Vec<Media>>,
    /// Translations by BCP 47 tag; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, TranslationOrNull>, required = false, nullable = false)]
    pub translations: Option<BTreeMap<String, Option<Translation>>>,
    /// How edits at two sites at once are decided: `latest` or `authority:<site>`; `null` means the former.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(latest|authority:[a-z0-9-]+)$")]
    pub merge: Option<Option<String>>,
    /// Variants that are added or changed; others stay as they are.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200, nullable = false)]
    pub variants: Option<Vec<PutVariant>>,
    /// What is set of listings in markets.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 300, nullable = false)]
    pub markets: Option<Vec<PutListing>>,
    /// What is set of parts of fields that are otherwise set as a whole; the rest of each stays.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parts: Option<PutParts>,
}

/// Sets parts of fields, over what the same line sets as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PutParts {
    /// Texts by BCP 47 tag; a title or a description that is not given stays.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub translations: BTreeMap<String, Translation>,
    /// What variants are; options that the product has not yet come behind those that it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub options: Vec<PutChoice>,
    /// Addresses of pictures, which come behind the media that are there, unless they are among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub images: Vec<String>,
}

/// What a variant is in one option of its product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutChoice {
    /// Which variant.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// The option.
    #[schema(min_length = 1, max_length = 200)]
    pub option: String,
    /// What it is there.
    #[schema(min_length = 1, max_length = 200)]
    pub value: String,
}

/// Adds a variant, or changes it where it may be there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "P1001-OAK", "title": "Oak"}))]
pub struct PutVariant {
    /// Which. Case-sensitive.
    #[schema(min_length = 1, max_length = 100)]
    pub sku: String,
    /// What GS1 knows it by: 8, 12, 13 or 14 digits with the right check digit.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9]{8}|[0-9]{12,14})$")]
    pub gtin: Option<Option<String>>,
    /// What tells it from the other variants.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<Option<String>>,
    /// Its value for every option that it has one for; one field, set as a whole.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub options: Option<BTreeMap<String, String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// When stock is promised; `reserve_on_order` for a new variant.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub policy: Option<Policy>,
    /// Units that each location may promise beyond its stock.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000, nullable = false)]
    pub backorder_limit: Option<u64>,
    /// Prices that are set, each on its own.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100, nullable = false)]
    pub prices: Option<Vec<SetPrice>>,
}

/// Changes fields of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"policy": "track_only"}))]
pub struct ChangeVariant {
    /// What GS1 knows it by: 8, 12, 13 or 14 digits with the right check digit.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9]{8}|[0-9]{12,14})$")]
    pub gtin: Option<Option<String>>,
    /// What tells it from the other variants.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<Option<String>>,
    /// Its value for every option that it has one for; one field, set as a whole.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub options: Option<BTreeMap<String, String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// When stock is promised; `reserve_on_order` for a new variant.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub policy: Option<Policy>,
    /// Units that each location may promise beyond its stock.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000, nullable = false)]
    pub backorder_limit: Option<u64>,
    /// Prices that are set, each on its own.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100, nullable = false)]
    pub prices: Option<Vec<SetPrice>>,
}

/// Sets fields of what a product says in one market.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutListing {
    /// Where.
    #[schema(min_length = 1, max_length = 32)]
    pub market: String,
    /// The title there.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub title: Option<Option<String>>,
    /// The description there.
    #[serde(default, deserialize_with = "crate::nullable", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 8192, pattern = r"^\S([\s\S]*\S)?$")]
    pub description: Option<Option<String>>,
    /// Attributes by name; `null` takes one away.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, AttributeOrNull>, required = false, nullable = false)]
    pub attributes: Option<BTreeMap<String, Option<AttributeValue>>>,
    /// Prices that are set, each on its own.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 500, nullable = false)]
    pub prices: Option<Vec<SetListingPrice>>,
}

/// What an edit of a product has changed. A repeated request gets the same answer, whatever was edited
/// since; read the product for what it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductEdit {
    /// Which product.
    pub id: String,
    /// The fields that it has changed. None if all of them were so already.
    pub changes: Vec<FieldChange>,
    /// The revision that the edit made, or that there is if nothing has changed and `If-Match` named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<u64>,
    /// When.
    pub updated_at: Time,
    /// The entry in the journal; none if nothing has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1-7-0")]
    pub position: Option<String>,
}
