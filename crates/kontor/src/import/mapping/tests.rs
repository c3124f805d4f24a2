//! Columns are found by their names, and cells say what they mean.

use super::*;

fn gbp() -> Wishes {
    Wishes { currency: Currency::parse("GBP").ok(), ..Wishes::default() }
}

fn mapping(kind: JobKind, header: &str, wishes: Wishes) -> Result<Mapping, Stop> {
    let header: Vec<String> = header.split(',').map(str::to_owned).collect();
    Mapping::find(kind, &header, wishes)
}

/// What a row of a file says: JSON, or a code.
fn said(header: &str, wishes: Wishes, row: &str) -> String {
    said_as(JobKind::ImportProducts, header, wishes, row)
}

fn said_as(kind: JobKind, header: &str, wishes: Wishes, row: &str) -> String {
    let mut mapping = match mapping(kind, header, wishes) {
        Ok(mapping) => mapping,
        Err(stop) => return format!("stop: {}", stop.code.as_str()),
    };
    let cells: Vec<&str> = row.split('¦').collect();
    match mapping.read(|column| cells[column]) {
        Ok(Said::Product { product, .. }) => serde_json::to_string(&product).unwrap(),
        Ok(Said::Stock { sku, location, quantity }) => format!("{quantity} of {sku} at {location}"),
        Ok(Said::Skipped(rule)) => format!("skipped: {rule}"),
        Err(why) => why.code.as_str().to_owned(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

#[test]
fn cells_become_fields() {
    for (header, row, expected) in [
        ("sku,title", "85123a¦ Mug ", r#"{"title":"Mug","variants":[{"sku":"85123a"}]}"#),
        // An empty cell says nothing.
        ("sku,title,brand", "A¦¦", r#"{"variants":[{"sku":"A"}]}"#),
        ("sku,price", "A¦2.55", r#"{"variants":[{"prices":[{"amount":"2.55","currency":"GBP"}],"sku":"A"}]}"#),
        ("sku,price", "A¦2.5", r#"{"variants":[{"prices":[{"amount":"2.50","currency":"GBP"}],"sku":"A"}]}"#),
        // Databases write more zeros than a price has decimals.
        ("sku,price", "A¦2.5500", r#"{"variants":[{"prices":[{"amount":"2.55","currency":"GBP"}],"sku":"A"}]}"#),
        ("sku,price", "A¦0", r#"{"variants":[{"prices":[{"amount":"0.00","currency":"GBP"}],"sku":"A"}]}"#),
        (
            "sku,price,currency",
            "A¦700.00¦JPY",
            r#"{"variants":[{"prices":[{"amount":"700","currency":"JPY"}],"sku":"A"}]}"#,
        ),
        (
            "sku,price.GBP,price.EUR",
            "A¦2¦3",
            r#"{"variants":[{"prices":[{"amount":"2.00","currency":"GBP"},{"amount":"3.00","currency":"EUR"}],"sku":"A"}]}"#,
        ),
        (
            "sku,categories,image",
            "A¦Kitchen | Mugs¦http://a/1.jpg|http://a/2.jpg",
            r#"{"categories":["Kitchen","Mugs"],"parts":{"images":["http://a/1.jpg","http://a/2.jpg"]},"variants":[{"sku":"A"}]}"#,
        ),
        (
            "sku,attribute.colour,attribute.weight_g:integer,attribute.l:decimal,attribute.oven:boolean,attribute.for:list",
            "A¦red¦350¦0.25¦Yes¦tea|coffee",
            r#"{"attributes":{"colour":"red","for":["tea","coffee"],"l":0.25,"oven":true,"weight_g":350},"variants":[{"sku":"A"}]}"#,
        ),
        (
            "id,sku,option.Size,title.de,variant.attributes",
            "P¦A¦M¦Tasse¦{\"x\":1}",
            r#"{"id":"P","parts":{"options":[{"option":"Size","sku":"A","value":"M"}],"translations":{"de":{"title":"Tasse"}}},"variants":[{"attributes":{"x":1},"sku":"A"}]}"#,
        ),
        ("sku,description", "A¦one\r\ntwo\rthree", r#"{"description":"one\ntwo\nthree","variants":[{"sku":"A"}]}"#),
        // A formula is a text; the apostrophe that exports put before it goes away.
        ("sku,title", "A¦=1+1", r#"{"title":"=1+1","variants":[{"sku":"A"}]}"#),
        ("sku,title", "A¦'=1+1", r#"{"title":"=1+1","variants":[{"sku":"A"}]}"#),
        ("sku,title", "A¦'tis", r#"{"title":"'tis","variants":[{"sku":"A"}]}"#),
    ] {
        assert_eq!(said(header, gbp(), row), expected, "{header}: {row}");
    }
}

#[test]
fn cells_that_mean_nothing_refuse_their_row() {
    for (header, row, expected) in [
        ("sku,title", "¦Mug", "sku_missing"),
        ("sku,title", "\u{A0}¦Mug", "sku_missing"),
        ("sku,price", "A¦£2.55", "price_invalid"),
        ("sku,price", "A¦2,55", "price_invalid"),
        ("sku,price", "A¦2.555", "price_invalid"),
        ("sku,price", "A¦-2.55", "price_invalid"),
        ("sku,price", "A¦.5", "price_invalid"),
        ("sku,price", "A¦1e3", "price_invalid"),
        ("sku,price", "A¦99999999999999999", "price_invalid"),
        ("sku,price,currency", "A¦2.50¦pounds", "price_invalid"),
        ("sku,price.pounds", "A¦2.50", "price_invalid"),
        ("sku,attribute.w:integer", "A¦heavy", "number_invalid"),
        ("sku,attribute.w:decimal", "A¦NaN", "number_invalid"),
        ("sku,attribute.w:boolean", "A¦maybe", "number_invalid"),
        ("sku,backorder_limit", "A¦-1", "number_invalid"),
        ("sku,attributes", "A¦[1]", "value_invalid"),
        ("sku,attributes", "A¦{", "value_invalid"),
        ("sku,categories", "A¦[1]", "value_invalid"),
    ] {
        assert_eq!(said(header, gbp(), row), expected, "{header}: {row}");
    }
}

#[test]
fn wishes_say_which_column_is_what() {
    let header = "InvoiceNo,StockCode,Description,Quantity,UnitPrice";
    let maps = pairs(&[("sku", "StockCode"), ("title", "Description"), ("price", "UnitPrice")]);
    let wishes = Wishes { maps, ..gbp() };
    let row = "536365¦85123A¦WHITE HANGING HEART ¦6¦2.55";
    assert_eq!(
        said(header, wishes.clone(), row),
        r#"{"title":"WHITE HANGING HEART","variants":[{"prices":[{"amount":"2.55","currency":"GBP"}],"sku":"85123A"}]}"#
    );
    let mapping = mapping(JobKind::ImportProducts, header, wishes.clone()).unwrap();
    assert_eq!(mapping.unused, ["InvoiceNo", "Quantity"]);

    let skips = pairs(&[("InvoiceNo", "C*"), ("StockCode", "POST"), ("Description", "")]);
    let wishes = Wishes { skips, skip_zero_price: true, ..wishes };
    for (row, expected) in [
        ("C536¦A¦Mug¦-1¦2", "skipped: InvoiceNo=C*"),
        ("536¦POST¦Postage¦1¦2", "skipped: StockCode=POST"),
        ("536¦A¦ ¦1¦2", "skipped: Description="),
        ("536¦A¦Mug¦1¦0.00", "skipped: a price of 0"),
    ] {
        assert_eq!(said(header, wishes.clone(), row), expected);
    }

    let comma = Wishes { decimal_comma: true, ..gbp() };
    assert!(said("sku,price", comma.clone(), "A¦2,55").contains("\"2.55\""));
    assert_eq!(said("sku,price", comma, "A¦2.55"), "price_invalid");

    let market = Wishes { market: Some("gb".to_owned()), ..gbp() };
    assert_eq!(
        said("sku,title,price", market.clone(), "A¦Mug¦2"),
        r#"{"markets":[{"market":"gb","prices":[{"amount":"2.00","currency":"GBP","sku":"A"}],"title":"Mug"}],"variants":[{"sku":"A"}]}"#
    );
    assert_eq!(
        said("id,sku,price", market.clone(), "P¦A¦2"),
        r#"{"id":"P","markets":[{"market":"gb","prices":[{"amount":"2.00","currency":"GBP","sku":"A"}]}]}"#
    );
    assert_eq!(said("sku,brand", market, "A¦Acme"), "stop: value_invalid");
}

#[test]
fn columns_that_cannot_be_found_stop_before_the_first_row() {
    let map = |field: &str, column: &str| Wishes { maps: pairs(&[("sku", "sku"), (field, column)]), ..gbp() };
    for (header, wishes, expected) in [
        ("Sku,title", gbp(), "stop: column_unknown"),
        ("sku,title", map("title", "Title"), "stop: column_unknown"),
        ("sku,name", map("name", "name"), "stop: column_unknown"),
        ("sku,title,title", gbp(), "stop: column_twice"),
        (
            "sku,a,b",
            Wishes { maps: pairs(&[("sku", "sku"), ("title", "a"), ("title", "b")]), ..gbp() },
            "stop: column_twice",
        ),
        ("sku,price", Wishes::default(), "stop: currency_missing"),
        ("sku,title", Wishes { skips: pairs(&[("Invoice", "C*")]), ..gbp() }, "stop: column_unknown"),
    ] {
        assert_eq!(said(header, wishes, "A¦b¦c"), expected, "{header}");
    }
    // A name that stands twice and is not used does no harm.
    assert!(said("sku,note,note", gbp(), "A¦b¦c").contains("\"A\""));
}

#[test]
fn rows_of_stock_are_whole_numbers_somewhere() {
    let here = Wishes { location: Some("shop".to_owned()), ..Wishes::default() };
    let table = [
        ("sku,location,quantity", Wishes::default(), "A¦attic¦5", "5 of A at attic"),
        ("sku,on_hand", here.clone(), "A¦5.000", "5 of A at shop"),
        ("sku,location,quantity", here.clone(), "A¦¦0", "0 of A at shop"),
        ("sku,location,quantity", Wishes::default(), "A¦¦0", "location_missing"),
        ("sku,quantity", here.clone(), "A¦", "number_invalid"),
        ("sku,quantity", here.clone(), "A¦-5", "number_invalid"),
        ("sku,quantity", here.clone(), "A¦5.5", "number_invalid"),
        ("sku,quantity", here, "¦5", "sku_missing"),
        ("sku,quantity", Wishes::default(), "A¦5", "stop: column_unknown"),
        ("sku,location", Wishes::default(), "A¦5", "stop: column_unknown"),
    ];
    for (header, wishes, row, expected) in table {
        assert_eq!(said_as(JobKind::ImportCounts, header, wishes, row), expected, "{header}: {row}");
    }
}

#[test]
fn apostrophes_come_and_go_in_pairs() {
    use crate::import::cells::neutralized;
    for text in ["=1+1", "+44 20", "-100", "@home", "'=1", "''+", "'tis", "Mug", "", "5 = 4 + 1", "\tx"] {
        let written = neutralized(text);
        assert_eq!(as_text(&written), text);
        assert!(!written.starts_with(['=', '+', '-', '@', '\t', '\r']), "{written}");
    }
}
