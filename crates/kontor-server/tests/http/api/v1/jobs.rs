use serde_json::{Value, json};

use crate::check::Shop;

const ID: &str = "job_00000000000000000000000000000001";

fn start(kind: &str) -> String {
    let digest = "5".repeat(64);
    let job = json!({"id": ID, "kind": kind, "source": "spring.csv", "digest": digest, "options": "sku=Code"});
    format!("POST /api/v1/jobs\n\n{job}")
}

fn rows(lines: &[Value]) -> String {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    format!("POST /api/v1/jobs/{ID}/rows\nContent-Type: application/x-ndjson\n\n{}\n", lines.join("\n"))
}

fn product(line: u64, sku: &str, title: &str) -> Value {
    json!({"line": line, "product": {"title": title, "variants": [{"sku": sku}]}})
}

#[tokio::test]
async fn an_import_takes_every_row_once_and_is_undone() {
    let shop = Shop::open().await;
    let first = rows(&[
        product(1, "DESK", "Desk"),
        json!({"line": 2, "refused": {"code": "unreadable", "detail": "a price is missing"}}),
        product(3, "LAMP", "Lamp"),
        json!({"line": 4, "stock": {"sku": "DESK", "location": "berlin", "quantity": 1}}),
    ]);
    let second = rows(&[
        product(3, "LAMP", "Lamp"),
        product(4, "LAMP", "Lamp"),
        product(5, "LAMP", "Red lamp"),
        product(6, "DESK", "Desk"),
        json!({"line": 7, "product": {"titel": "x"}}),
        json!({"line": 8, "product": {"variants": [{"sku": "CHAIR"}]}}),
        product(10, "CHAIR", "Chair"),
        product(11, "CHAIR", "Chair"),
    ]);
    let other = start("import_products").replace("5555", "6666");
    let undo = format!("POST /api/v1/jobs/{ID}/undo");
    let finish = format!("POST /api/v1/jobs/{ID}/finish");
    let read = format!("GET /api/v1/jobs/{ID}");
    let refused = format!("GET /api/v1/jobs/{ID}/rows?outcome=refused");
    insta::assert_json_snapshot!(
        shop.story(&[
            &start("import_products"),
            &start("import_products"),
            &other,
            &start("import_stock"),
            &rows(&[product(2, "DESK", "Desk")]),
            &first,
            &second,
            &refused,
            &finish,
            &finish,
            &rows(&[product(9, "CHAIR", "Chair")]),
            "GET /api/v1/jobs",
            "PATCH /api/v1/products/DESK\nIf-Match: *\n\n{\"title\": \"Walnut desk\"}",
            &undo,
            &undo,
            &read,
            "GET /api/v1/products/LAMP",
            "GET /api/v1/jobs/job_00000000000000000000000000000002",
            "GET /api/v1/jobs/7",
        ])
        .await
    );
}

#[tokio::test]
async fn an_import_of_stock_books_each_row_once() {
    let shop = Shop::stocked().await;
    assert_eq!(shop.ask(&start("import_stock")).await.status, 201);
    let row = |line: u64, sku: &str, quantity: u64| json!({"line": line, "stock": {"sku": sku, "location": "berlin", "quantity": quantity}});
    let request = rows(&[row(1, "DESK", 5), row(2, "LAMP", 5), row(3, "DESK", 7), row(4, "DESK", 0)]);
    let told = shop.ask(&request).await.lines();
    let outcomes: Vec<String> = told.iter().map(|line| format!("{} {}", line["outcome"], line["code"])).collect();
    let refused = |code: &str| format!("\"refused\" \"{code}\"");
    let changed = "\"changed\" null".to_owned();
    assert_eq!(outcomes, [changed.clone(), refused("unknown_sku"), changed, refused("invalid_request")]);
    assert!(shop.ask(&request).await.lines().iter().all(|line| line["outcome"] == "done"));
    assert_eq!(shop.ask("GET /api/v1/stock/DESK").await.json()["totals"]["on_hand"], 22);
}

/// A crash between booking a row and saying so in the job leaves its reference used.
#[tokio::test]
async fn a_row_that_was_booked_before_a_crash_is_not_booked_again() {
    let shop = Shop::stocked().await;
    assert_eq!(shop.ask(&start("import_stock")).await.status, 201);
    let booked = json!({"sku": "DESK", "location": "berlin", "quantity": 5, "reference": format!("{ID}:1")});
    let booked = shop.ask(&format!("POST /api/v1/stock/receive\nIdempotency-Key: k\n\n{booked}")).await;
    assert!(booked.status.is_success());
    let request = rows(&[json!({"line": 1, "stock": {"sku": "DESK", "location": "berlin", "quantity": 5}})]);
    assert_eq!(shop.ask(&request).await.lines()[0]["outcome"], "changed");
    assert_eq!(shop.ask("GET /api/v1/stock/DESK").await.json()["totals"]["on_hand"], 15);
}

#[tokio::test]
async fn an_import_of_stock_is_undone_as_far_as_its_units_are_there() {
    let shop = Shop::stocked().await;
    shop.ask("POST /api/v1/products\n\n{\"sku\": \"LAMP\", \"title\": \"Lamp\"}").await;
    assert_eq!(shop.ask(&start("import_stock")).await.status, 201);
    let row = |line: u64, sku: &str| json!({"line": line, "stock": {"sku": sku, "location": "berlin", "quantity": 5}});
    shop.ask(&rows(&[row(1, "DESK"), row(2, "LAMP")])).await;
    let sale = "{\"reference\": \"s\", \"lines\": [{\"sku\": \"LAMP\", \"location\": \"berlin\", \"quantity\": 2}]}";
    assert_eq!(shop.ask(&format!("POST /api/v1/stock/issue\nIdempotency-Key: s\n\n{sale}")).await.status, 201);
    let undo = format!("POST /api/v1/jobs/{ID}/undo");
    let step = shop.ask(&undo).await.json();
    assert_eq!((&step["undone"], &step["changed_since"], &step["left"]), (&json!(1), &json!(1), &json!(0)), "{step}");
    assert_eq!((&step["kept"][0]["line"], &step["kept"][0]["code"]), (&json!(2), &json!("changed_since")));
    assert_eq!(step["kept"][0]["detail"], "2 of 5 units of LAMP at berlin are gone or promised");
    let on_hand =
        async |sku: &str| shop.ask(&format!("GET /api/v1/stock/{sku}")).await.json()["totals"]["on_hand"].clone();
    assert_eq!((on_hand("DESK").await, on_hand("LAMP").await), (json!(10), json!(0)));
    let newest = shop.ask("GET /api/v1/movements?sku=DESK&page_size=1").await.json();
    let newest = &newest["items"][0];
    assert_eq!((&newest["kind"], &newest["reference"]), (&json!("write_off"), &json!(format!("{ID}:1"))), "{newest}");
    let again = shop.ask(&undo).await.json();
    assert_eq!((&again["job"]["status"], &again["undone"]), (&json!("undone"), &json!(0)), "undone once");
    assert_eq!(on_hand("DESK").await, json!(10));
}

#[tokio::test]
async fn of_two_counts_of_a_shelf_the_later_row_stays() {
    let shop = Shop::stocked().await;
    assert_eq!(shop.ask(&start("import_counts")).await.status, 201);
    let counts: Vec<Value> = (1..=200)
        .map(|line| json!({"line": line, "stock": {"sku": "DESK", "location": "berlin", "quantity": line.min(199)}}))
        .collect();
    let told = shop.ask(&rows(&counts)).await.lines();
    let unchanged: Vec<u64> =
        told.iter().filter(|line| line["outcome"] == "unchanged").map(|line| line["line"].as_u64().unwrap()).collect();
    // 10 are there when row 10 is done only if it is done out of order.
    assert_eq!(unchanged, [200]);
    assert_eq!(shop.ask("GET /api/v1/stock/DESK").await.json()["totals"]["on_hand"], 199);
}

#[tokio::test]
async fn rows_of_a_long_job_are_listed_page_by_page() {
    let shop = Shop::open().await;
    assert_eq!(shop.ask(&start("import_products")).await.status, 201);
    let all: Vec<Value> = (1..=1_200).map(|line| product(line, &format!("P{line}"), "Nr")).collect();
    for part in all.chunks(500) {
        shop.ask(&rows(part)).await;
    }
    let (mut seen, mut path) = (Vec::new(), format!("/api/v1/jobs/{ID}/rows?page_size=200"));
    loop {
        let page = shop.ask(&format!("GET {path}")).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["line"].as_u64().unwrap()));
        let Some(token) = page["next_page_token"].as_str() else { break };
        path = format!("/api/v1/jobs/{ID}/rows?page_size=200&page_token={token}");
    }
    assert_eq!(seen, (1..=1_200).collect::<Vec<u64>>());
    assert_eq!(shop.ask(&format!("GET /api/v1/jobs/{ID}")).await.json()["created"], 1_200);
    let mut left = u64::MAX;
    while left > 0 {
        let step = shop.ask(&format!("POST /api/v1/jobs/{ID}/undo")).await.json();
        assert!(step["left"].as_u64().unwrap() < left, "{step}");
        left = step["left"].as_u64().unwrap();
    }
    assert_eq!(shop.ask("GET /api/v1/products").await.json()["items"], json!([]));
}
