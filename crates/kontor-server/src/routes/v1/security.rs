//! `/security`: what people see who keep watch.

use axum::extract::State;
use axum::response::Response;
use kontor_api::page::Page;
use kontor_api::path;
use kontor_api::security::RefusedKey;

use super::{Paging, page};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Params};
use crate::problem::Problem;

/// List refused keys
///
/// Requests whose key was refused, newest first: the newest 1,000 since the server was started. Requests
/// without any key are not among them.
#[utoipa::path(
    get, path = "/api/v1/security/refusals", tag = "security", operation_id = "list_refused_keys",
    params(Paging),
    responses((status = 200, description = "One page of refused keys", body = Page<RefusedKey>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn refusals(
    State(app): State<App>,
    _: Admin,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    let size = paging.size()?;
    let list = List { path: path::REFUSALS, filters: &[] };
    let before = list.after(paging.page_token.as_deref(), |place| place.parse().ok())?;
    let rows = app.refusals.before(before, size + 1);
    page(&list, size, &[], rows, |(number, _)| number.to_string(), |(_, refused)| Ok(Some(refused.clone())))
}
