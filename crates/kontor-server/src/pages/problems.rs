//! What `type` of a problem points to.

use axum::response::Response;
use kontor_api::Code;
use maud::{Markup, html};

use super::{Frame, Visitor, missing};
use crate::extract::Named;
use crate::problem::Problem;

/// All codes.
pub(crate) async fn all(Visitor(audience): Visitor) -> Response {
    Frame::still("Problems", audience).around(&html! {
        h1 { "Problems" }
        p.lead { "Whatever is not done is answered with a problem document. Programs decide by its code." }
        @for code in Code::ALL { (explained(*code)) }
    })
}

/// One code.
pub(crate) async fn one(Visitor(audience): Visitor, Named(code): Named<String>) -> Result<Response, Problem> {
    let code = Code::parse(&code).ok_or_else(|| missing("such code"))?;
    Ok(Frame::still(code.as_str(), audience).around(&html! {
        h1 { (code.title()) }
        (explained(code))
        p { a href="/problems/" { "All problems" } }
    }))
}

fn explained(code: Code) -> Markup {
    html! {
        section.problem id=(code.as_str()) {
            h2 { code { (code.as_str()) } " " span.status { (code.status()) } }
            p { (code.meaning()) }
            p.hint {
                @if code.retryable() { "The same request may succeed later. " }
                @else { "The same request will not succeed unless something else changes. " }
                @if code.has_no_side_effects() { "Nothing has changed." }
                @else { "It may have happened: repeat it with the same key." }
            }
        }
    }
}
