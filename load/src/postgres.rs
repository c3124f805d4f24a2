//! The shop that Kontor's writes are compared with: an ordinary good Rust service (axum, pooled
//! connections) that issues stock by one PostgreSQL function call in one transaction.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio_postgres::NoTls;

use crate::goods;

/// The service over a database that [`prepare`] has filled.
pub(crate) fn router(pool: Pool) -> Router {
    Router::new().route(goods::ISSUE, post(issue)).with_state(pool)
}

/// At most `size` connections, made when first needed, each kept with its prepared statements.
pub(crate) fn pool(url: &str, size: usize) -> Result<Pool> {
    let config = url.parse::<tokio_postgres::Config>().context("the database's URL")?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(10)))
        .build()
        .context("making the pool")
}

/// Makes the schema in an empty database and puts `each` units of every SKU on the shelf.
pub(crate) async fn prepare(pool: &Pool, skus: u64, each: u64) -> Result<()> {
    let client = pool.get().await.context("connecting to the database")?;
    client.batch_execute(include_str!("../sql/shop.sql")).await.context("making the schema")?;
    let fill = format!(
        "insert into stock select 'SKU-' || lpad(n::text, {}, '0'), '{}', {each} \
         from generate_series(1, {skus}) n; \
         update stock set on_hand = on_hand * 1000 where sku = '{}'; \
         vacuum analyze; checkpoint",
        goods::DIGITS,
        goods::LOCATION,
        goods::sku(goods::HOT),
    );
    // One by one: a vacuum runs in no transaction, and a batch would be one.
    for statement in fill.split("; ") {
        client.batch_execute(statement).await.with_context(|| format!("running {statement}"))?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issue {
    reference: String,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: String,
    location: String,
    quantity: i64,
}

async fn issue(State(pool): State<Pool>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let Some(key) = key.filter(|key| (1..=255).contains(&key.len())) else {
        return problem(StatusCode::BAD_REQUEST, "idempotency_key_missing", None);
    };
    let issue = match serde_json::from_slice::<Issue>(&body) {
        Ok(issue) if issue.lines.iter().all(|line| line.quantity > 0) => issue,
        Ok(_) => return problem(StatusCode::BAD_REQUEST, "invalid_request", None),
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, "invalid_request", Some(&error.to_string()));
        }
    };
    match book(&pool, key, &Sha256::digest(&body), &issue).await {
        Ok((outcome, answer)) => match outcome.as_str() {
            "issued" => json(StatusCode::CREATED, answer),
            "replayed" => {
                let mut replay = json(StatusCode::CREATED, answer);
                let replayed = HeaderValue::from_static("true");
                replay.headers_mut().insert("idempotency-replayed", replayed);
                replay
            }
            _ => problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", None),
        },
        Err(error) => match error.downcast_ref::<tokio_postgres::Error>() {
            Some(error) if error.code().is_some_and(|code| code.code() == "KS409") => {
                let detail = error.as_db_error().and_then(|error| error.detail());
                problem(StatusCode::CONFLICT, "insufficient_stock", detail)
            }
            _ => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", Some(&format!("{error:#}"))),
        },
    }
}

/// The function call. A single statement outside a transaction block is a transaction.
async fn book(pool: &Pool, key: &str, digest: &[u8], issue: &Issue) -> Result<(String, String)> {
    let client = pool.get().await?;
    let call = "select outcome, answer from issue_stock($1, $2, $3, $4, $5, $6)";
    let call = client.prepare_cached(call).await?;
    let skus: Vec<&str> = issue.lines.iter().map(|line| line.sku.as_str()).collect();
    let locations: Vec<&str> = issue.lines.iter().map(|line| line.location.as_str()).collect();
    let quantities: Vec<i64> = issue.lines.iter().map(|line| line.quantity).collect();
    let row = client.query_one(&call, &[&key, &digest, &issue.reference, &skus, &locations, &quantities]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn problem(status: StatusCode, code: &str, detail: Option<&str>) -> Response {
    let body = serde_json::json!({ "status": status.as_u16(), "code": code, "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::process::Command;

    use super::*;
    use crate::process::Server;
    use crate::wire::{Answer, Caller};

    #[test]
    fn the_shop_sells_exactly_once_and_all_lines_or_none() {
        if !std::path::Path::new("/usr/lib/postgresql/15/bin/postgres").exists() {
            return println!("not checked: PostgreSQL 15 is not installed");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("bash");
        command.args(["-c", include_str!("../postgres.sh")]);
        let log = folder.path().join("postgres.log");
        let mut database = Server::start("database", &mut command, &log).expect("bash is there");
        let said = database.said("database ").expect("the database starts");
        let (url, _) = said.split_once(" pid ").expect("a URL and a process");
        let shop = start(url.to_owned());

        let ask = |key: &str, body: &str| {
            let request = shop.request(goods::ISSUE, Some(body.to_owned()), Some(key));
            shop.once(request.expect("a good request")).expect("an answer")
        };
        let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
        let one = goods::issue_json(2, "first");

        let first = ask("a", &one);
        assert_eq!(first.status, StatusCode::CREATED);
        assert!(text(&first).contains(r#""on_hand_after": 2"#), "{}", text(&first));
        let again = ask("a", &one);
        assert_eq!((again.status, text(&again)), (StatusCode::CREATED, text(&first)));
        assert!(again.headers.contains_key("idempotency-replayed"));
        let other = ask("a", &goods::issue_json(3, "first"));
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);

        let line =
            |number, quantity| format!(r#"{{"sku":"{}","location":"main","quantity":{quantity}}}"#, goods::sku(number));
        let both = format!(r#"{{"reference":"b","lines":[{},{}]}}"#, line(3, 1), line(2, 9));
        assert_eq!(ask("b", &both).status, StatusCode::CONFLICT);
        // A refusal is not kept, and took nothing from the other line's shelf.
        let three = format!(r#"{{"reference":"b","lines":[{}]}}"#, line(3, 3));
        let three = ask("b", &three);
        assert!(text(&three).contains(r#""on_hand_after": 0"#), "{}", text(&three));
        assert_eq!(ask("c", &goods::issue_json(3, "c")).status, StatusCode::CONFLICT);
    }

    /// The service over the database at `url` with three units of each of five SKUs.
    fn start(url: String) -> Caller {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let pool = pool(&url, 4).expect("the URL is right");
                prepare(&pool, 5, 3).await.expect("an empty database");
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let listener = crate::bare::listen(any).await.expect("a port is free");
                tell.send(listener.local_addr().expect("it is bound")).expect("the test waits");
                axum::serve(listener, router(pool)).await
            })
        });
        Caller::new(told.recv().expect("the shop starts"), None).expect("no key")
    }
}
