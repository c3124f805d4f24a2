//! The bare server: hyper's HTTP/1 on tokio and nothing else, answering product reads with the bytes
//! that a running Kontor answers. What Kontor needs beyond it is the price of being more than that.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::goods;
use crate::wire::Caller;

/// Serves `answers` for ever.
pub(crate) async fn serve(listener: TcpListener, answers: Answers) -> Result<()> {
    let answers = Arc::new(answers);
    loop {
        let (stream, _) = listener.accept().await.context("accepting a connection")?;
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let response = answers.to(request.method(), request.uri().path());
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            let mut http = http1::Builder::new();
            http.auto_date_header(answers.dated);
            // A client that goes away is how a connection ends; there is nobody to tell.
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// The answers of a server, learned from a few of them.
pub(crate) struct Answers {
    headers: HeaderMap,
    /// Whether the answers carry a date; hyper writes it.
    dated: bool,
    /// The first products' bodies, byte for byte, from number 1.
    samples: Vec<Bytes>,
    /// Where the number stands in the first of them; the body of any other product is made from it.
    number_at: Vec<usize>,
    products: u64,
}

impl Answers {
    /// Copies the answers to reads of the products 1 to `samples` from the server at `caller`.
    pub(crate) fn like(caller: &Caller, samples: u64, products: u64) -> Result<Answers> {
        let mut headers = HeaderMap::new();
        let mut bodies = Vec::new();
        for number in 1..=samples.clamp(1, products) {
            let path = goods::product_path(number);
            let answer = caller.get(&path)?;
            ensure!(answer.status == StatusCode::OK, "{path} was answered {}", answer.status);
            bodies.push(answer.body);
            if number == 1 {
                headers = answer.headers;
            }
        }
        Answers::new(headers, bodies, products)
    }

    /// Answers of a plain form, for a look at the bare server by itself.
    pub(crate) fn plain(products: u64) -> Result<Answers> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("date", HeaderValue::from_static(""));
        let number = goods::product(1);
        let sku = goods::sku(1);
        let body = format!(
            r#"{{"id":"{number}","sku":"{sku}","title":"Enamel mug number 0000001","status":"active","variants":[{{"sku":"{sku}","policy":"reserve_on_order","backorder_limit":0}}],"revision":1,"created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z"}}"#
        );
        Answers::new(headers, vec![body.into()], products)
    }

    fn new(mut headers: HeaderMap, samples: Vec<Bytes>, products: u64) -> Result<Answers> {
        let dated = headers.remove("date").is_some();
        // These belong to the connection, and hyper writes them.
        for of_the_connection in ["content-length", "connection", "transfer-encoding"] {
            headers.remove(of_the_connection);
        }
        let first = samples.first().context("no answer to learn from")?;
        let digits = format!("{:07}", 1);
        let number_at = first
            .windows(goods::DIGITS)
            .enumerate()
            .filter(|(_, window)| *window == digits.as_bytes())
            .map(|(at, _)| at)
            .collect::<Vec<_>>();
        ensure!(!number_at.is_empty(), "the answer does not name the product it is for");
        Ok(Answers { headers, dated, samples, number_at, products })
    }

    fn to(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let asked = if method == Method::GET { goods::number_in(path) } else { None };
        let Some(number) = asked.filter(|number| (1..=self.products).contains(number)) else {
            let mut absent = Response::new(Full::new(Bytes::new()));
            *absent.status_mut() = StatusCode::NOT_FOUND;
            return absent;
        };
        let body = match usize::try_from(number - 1).ok().and_then(|at| self.samples.get(at)) {
            Some(sample) => sample.clone(),
            None => self.body_of(&path[path.len() - goods::DIGITS..]),
        };
        let mut response = Response::new(Full::new(body));
        *response.headers_mut() = self.headers.clone();
        response
    }

    fn body_of(&self, digits: &str) -> Bytes {
        let mut body = self.samples[0].to_vec();
        for at in &self.number_at {
            body[*at..at + goods::DIGITS].copy_from_slice(digits.as_bytes());
        }
        body.into()
    }
}

/// Listens on `address` and says where, so that whoever started it can wait for the line.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listening on {address}"))?;
    println!("listening on http://{}", listener.local_addr().context("the bound address")?);
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_beyond_the_samples_differ_in_their_number_alone() {
        let answers = Answers::plain(10).expect("the plain form names its product");
        let first = answers.samples[0].clone();
        let other = answers.body_of("0000010");
        let text = String::from_utf8(first.to_vec()).expect("JSON is UTF-8");
        assert_eq!(other, text.replace("0000001", "0000010"));
    }

    #[test]
    fn only_known_products_are_found() {
        let answers = Answers::plain(10).expect("the plain form names its product");
        let status = |method, number| answers.to(method, &goods::product_path(number)).status();
        assert_eq!(status(&Method::GET, 10), StatusCode::OK);
        assert_eq!(status(&Method::GET, 11), StatusCode::NOT_FOUND);
        assert_eq!(status(&Method::GET, 0), StatusCode::NOT_FOUND);
        assert_eq!(status(&Method::POST, 1), StatusCode::NOT_FOUND);
    }
}
