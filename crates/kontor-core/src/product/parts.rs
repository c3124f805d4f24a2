//! What files say of a product piece by piece, in columns: a part of a field that is otherwise set as a whole.

use std::collections::BTreeMap;

use super::Product;
use super::edit::{ProductEdit, VariantEdit};
use super::text::{Language, Media, MediaKind, Name, Translation, Url};
use crate::id::Sku;

/// Parts of fields that are set; the rest of each field stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// Texts by language; one that is not given stays.
    pub translations: BTreeMap<Language, Translation>,
    /// What variants are. Options that the product has not yet come behind those that it has.
    pub choices: Vec<Choice>,
    /// Addresses of pictures, which come behind the media that are there, unless they are among them.
    pub images: Vec<Url>,
}

/// What a variant is in one of the product's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which variant.
    pub sku: Sku,
    /// The option.
    pub option: Name,
    /// What it is there.
    pub value: Name,
}

impl Parts {
    /// Whole fields: these parts over what the edit sets, and over what is so now where it sets nothing.
    pub(crate) fn over(&self, now: Option<&Product>, mut edit: ProductEdit) -> ProductEdit {
        for (language, part) in &self.translations {
            let before = || now.and_then(|product| product.translations.get(language)).cloned();
            let whole = edit.translations.entry(language.clone()).or_insert_with(before).get_or_insert_default();
            whole.title = part.title.clone().or(whole.title.take());
            whole.description = part.description.clone().or(whole.description.take());
        }
        let set = edit.options.as_deref().or(now.map(|product| &product.options[..])).unwrap_or_default();
        let mut options = set.to_vec();
        for Choice { sku, option, value } in &self.choices {
            let place = edit.variants.iter().position(|variant| variant.sku == *sku);
            let variant = match place {
                Some(place) => &mut edit.variants[place],
                None => edit.variants.push_mut(VariantEdit::of(sku.clone())),
            };
            let before = || now.and_then(|product| product.variant(sku)).map(|variant| variant.options.clone());
            variant.options.get_or_insert_with(|| before().unwrap_or_default()).insert(option.clone(), value.clone());
            if !options.contains(option) {
                options.push(option.clone());
                edit.options = Some(options.clone());
            }
        }
        let set = edit.media.as_deref().or(now.map(|product| &product.media[..])).unwrap_or_default();
        let mut media = set.to_vec();
        for url in &self.images {
            if !media.iter().any(|medium| medium.url == *url) {
                media.push(Media { url: url.clone(), alt: None, kind: MediaKind::Image });
                edit.media = Some(media.clone());
            }
        }
        edit
    }
}
