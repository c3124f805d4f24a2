//! Words, as they are typed and as they are found: small letters without accents.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::limits::{INDEX_CODES_MAX, INDEX_WORD_BYTES_MAX, INDEX_WORDS_MAX};
use crate::product::Product;
use crate::product::gtin::Gtin;
use crate::product::listing::Listing;
use crate::text::Title;

/// A text in small letters without accents: `Über` and `uber` are one, and so are `Straße` and `STRASSE`.
pub fn plain(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Capitals have no sharp s: STRASSE is Straße.
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect::<String>().replace('ß', "ss")
}

/// The words of a text, in order. All that is neither letter nor digit is between words.
pub fn words(text: &str) -> Vec<String> {
    let plain = plain(text);
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| cut(word).to_owned()).collect()
}

/// What a shopper has typed, as words: each once. A whole GTIN is one word, however many zeros begin it.
pub fn query(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in text.split_whitespace() {
        match Gtin::parse(part) {
            Ok(gtin) => drop(found.insert(digits(&gtin))),
            Err(_) => found.extend(words(part)),
        }
    }
    found
}

/// The words by which a product is found.
pub fn of(product: &Product) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let titles = product.translations.values().filter_map(|text| text.title.as_ref());
    let titles = std::iter::once(&product.title).chain(titles).map(|title| title.as_str());
    let texts = titles.chain(product.brand.iter().map(|brand| brand.as_str())).flat_map(words);
    take(&mut found, texts, INDEX_WORDS_MAX);
    let codes = product.variants.iter().flat_map(|variant| {
        let sku = words(variant.sku.as_str());
        // Whoever types AB123 means AB-123 too.
        let whole = (sku.len() > 1).then(|| cut(&sku.concat()).to_owned());
        let gtin = variant.gtin.iter().flat_map(|gtin| [gtin.as_str().to_owned(), digits(gtin)]);
        sku.into_iter().chain(whole).chain(gtin).collect::<Vec<_>>()
    });
    take(&mut found, codes, INDEX_CODES_MAX);
    found
}

/// The words by which a product is found in a market besides.
pub fn there(listing: &Listing) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    take(&mut found, listing.title.iter().flat_map(|title| words(title.as_str())), INDEX_WORDS_MAX);
    found
}

/// What products are put in order by: the words of the title, cut.
pub(super) fn title(title: &Title) -> String {
    let mut title = words(title.as_str()).join(" ");
    title.truncate(cut(&title).len());
    title
}

/// The beginning of a text that has a place in a key.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(INDEX_WORD_BYTES_MAX)]
}

/// All 14 digits, since shorter GTINs are longer ones with zeros before them.
fn digits(gtin: &Gtin) -> String {
    gtin.key().iter().map(|digit| char::from(*digit)).collect()
}

/// Takes words until `most` new ones are found.
fn take(found: &mut BTreeSet<String>, words: impl Iterator<Item = String>, most: usize) {
    let most = found.len() + most;
    for word in words {
        if found.len() == most {
            break;
        }
        found.insert(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::Variant;
    use crate::product::text::{Language, Name, Translation};
    use crate::text::Title;

    fn product(title: &str, skus: &[&str]) -> Product {
        let mut product = Product::blank(Title::parse(title).unwrap());
        product.variants = skus.iter().map(|sku| Variant::new(crate::id::Sku::parse(*sku).unwrap())).collect();
        product
    }

    #[test]
    fn words_are_found_however_they_are_written() {
        let table = [
            ("Walnut desk, 160 cm", "walnut desk 160 cm"),
            ("CRÈME BRÛLÉE", "creme brulee"),
            ("Straße naïve", "strasse naive"),
            ("ﬁne ½", "fine 1 2"),
            ("Ελλάδα 東京", "ελλαδα 東京"),
            ("--- !", ""),
            ("donaudampfschifffahrtsgesellschaft", "donaudampfschifffahrtsge"),
        ];
        for (text, expected) in table {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_product_is_found_by_title_brand_sku_and_gtin() {
        let mut product = product("Walnut desk", &["DSK-160", "plain"]);
        product.brand = Some(Name::parse("Möbel & Co").unwrap());
        product.variants[0].gtin = Some(Gtin::parse("96385074").unwrap());
        let text = Translation { title: Some(Title::parse("Schreibtisch").unwrap()), description: None };
        product.translations.insert(Language::parse("de").unwrap(), text);
        let found: Vec<String> = of(&product).into_iter().collect();
        let expected = [
            "00000096385074",
            "160",
            "96385074",
            "co",
            "desk",
            "dsk",
            "dsk160",
            "mobel",
            "plain",
            "schreibtisch",
            "walnut",
        ];
        assert_eq!(found, expected);
        for typed in ["desk WAL", "dsk-160", "DSK160", "0000096385074", "96385074", "möbel"] {
            let all = query(typed);
            assert!(all.iter().all(|word| found.iter().any(|of| of.starts_with(word.as_str()))), "{typed}: {all:?}");
        }
    }

    #[test]
    fn a_product_of_many_words_keeps_some() {
        let many: Vec<String> = (0..90).map(|number| format!("w{number:02}")).collect();
        let product = product(&many.join(" "), &["SKU-1"]);
        let found = of(&product);
        assert_eq!(found.len(), INDEX_WORDS_MAX + 3);
        assert!(found.contains("w63") && !found.contains("w64") && found.contains("sku1"));
    }
}
