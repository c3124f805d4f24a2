//! `/customers`: who buys, and how they are forgotten. Personal fields are sealed before the site is given
//! them, and opened when they are shown.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, header};
use kontor_api::customer::{ChangeCustomer, CreateCustomer, Customer, CustomerChanged, CustomerErased, EraseCustomer};
use kontor_api::page::Page;
use kontor_api::person::Address;
use kontor_api::{Code, path};
use kontor_core::command::{Command, Must};
use kontor_core::event::Event;
use kontor_core::id::{CustomerId, SiteId};
use kontor_core::limits::CUSTOMER_ADDRESSES_MAX;
use kontor_core::person as core;
use kontor_core::refusal::Refusal;
use kontor_core::text::Reason;
use kontor_site::Answer;
use kontor_site::reader::Reader;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Told, expect_event, json, listed, page, page_size, put, refused_edit, write};
use crate::app::App;
use crate::cursor::List;
use crate::extract::{Admin, Named, Nothing, Params};
use crate::forward::elsewhere;
use crate::idempotency::Posted;
use crate::personal::{self, Personal, Reading, place};
use crate::problem::Problem;
use crate::{convert, parse};

/// Make a customer
///
/// The site that answers keeps them. No two customers of a site have one e-mail address.
#[utoipa::path(
    post, path = "/api/v1/customers", tag = "customers", operation_id = "create_customer",
    request_body = CreateCustomer,
    responses((status = 201, description = "The customer", body = Customer,
        headers(("ETag" = String, description = "Their revision, in quotes"), ("Location" = String, description = "Their path")))),
)]
pub(crate) async fn create(State(app): State<App>, posted: Posted<CreateCustomer>) -> Result<Response, Problem> {
    let Posted { body: CreateCustomer { id, email, name, addresses }, asked } = posted;
    let plain = plain(email, name, addresses)?;
    let given = id.map(|id| parse::person::customer_id("/id", &id)).transpose()?;
    let id = given.unwrap_or_else(Personal::fresh_person);
    let edit = seal(&app, id, &plain).await?;
    let command = Command::SaveCustomer { id, edit: Box::new(edit), expected: None, must: Must::Create };
    let made = AtomicBool::new(false);
    let done = write(&app, &asked, command, |answer| {
        let (of, customer) = expect_event(answer, |event| {
            let Event::CustomerSaved { id, edit, .. } = event else { return None };
            let core::CustomerEdit { email, name, addresses } = (**edit).clone();
            let (email_hash, email) = email.unzip();
            let (created_at, updated_at) = (answer.recorded_at, answer.recorded_at);
            let (addresses, revision, erased_at) = (addresses.unwrap_or_default(), 1, None);
            let known =
                core::Customer { email_hash, email, name, addresses, revision, created_at, updated_at, erased_at };
            Some((*id, known))
        })?;
        made.store(of == id, Ordering::Relaxed);
        let customer = shown(&app, of, app.site.id(), &customer)?;
        let path = path::with(path::CUSTOMER, &[&customer.id]);
        Ok(Told::created(customer).revision(Some(1)).path(path))
    })
    .await;
    let is_known = !matches!(&done, Err(problem) if problem.code() == Code::OutcomeUnknown);
    // A fresh id that was used for nothing, because the request was refused or is a repeated one, is known to
    // nobody. One that the caller gave may be somebody's by now.
    if given.is_none() && !made.load(Ordering::Relaxed) && is_known {
        app.personal.take_back(id).await;
    }
    done
}

/// Which customers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// The one who has this e-mail address at this site, however it is written.
    #[param(
        min_length = 3,
        max_length = 254,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f]+@[^\s@\u0000-\u001f\u007f-\u009f]+$"
    )]
    email: Option<String>,
    /// Rows of the page, 50 if not given; greater numbers than 200 mean 200.
    #[param(minimum = 1)]
    page_size: Option<u32>,
    /// The `next_page_token` of the page before, with the same filters.
    page_token: Option<String>,
}

/// List customers
///
/// By id, the erased ones too; or the one with an e-mail address, if there is one.
#[utoipa::path(
    get, path = "/api/v1/customers", tag = "customers", operation_id = "list_customers",
    params(Filter),
    responses((status = 200, description = "One page of customers", body = Page<Customer>,
        headers(("Link" = String, description = "The next page, if there is one")))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Admin,
    Params(filter): Params<Filter>,
) -> Result<Response, Problem> {
    let Filter { email, page_size: size, page_token } = filter;
    let size = page_size(size)?;
    let hash = match email {
        Some(email) => Some(app.personal.email_hash(&parse::person::email("email", &email)?)),
        None => None,
    };
    let opens = app.clone();
    app.read(move |reader| {
        // A token of the list of all is none of this one; what it would follow is a single row.
        let list = List { path: path::CUSTOMERS, filters: if hash.is_some() { &["email"] } else { &[] } };
        let after = list.after(page_token.as_deref(), |text| CustomerId::parse(text).ok())?;
        if let Some(hash) = hash {
            let found = reader.customer_with_email(&hash)?.map(|id| read_one(&opens, reader, id)).transpose()?;
            return listed(&list, size, &[], found.flatten().into_iter().collect(), None);
        }
        let rows = reader.customers(after, size + 1)?;
        page(
            &list,
            size,
            &[],
            rows,
            |(id, ..)| id.to_string(),
            |(id, home, customer)| shown(&opens, *id, home, customer).map(Some),
        )
    })
    .await
}

/// Read a customer
///
/// Personal fields are `null` with `erased` if the person was erased, and with `sealed` if only the site
/// `home` can read them.
#[utoipa::path(
    get, path = "/api/v1/customers/{id}", tag = "customers", operation_id = "read_customer",
    params(("id" = String, Path, description = "`cus_` and a UUID")),
    responses((status = 200, description = "The customer", body = Customer,
        headers(("ETag" = String, description = "Their revision, in quotes")))),
)]
pub(crate) async fn read(
    State(app): State<App>,
    _: Admin,
    Named(id): Named<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let id = parse::person::customer_id("id", &id)?;
    let found = read_one(&app, &app.site.read(), id)?;
    let customer = found.ok_or(Refusal::UnknownCustomer { customer: id })?;
    let mut response = json(StatusCode::OK, &customer)?;
    put(&mut response, header::ETAG, &format!("\"{}\"", customer.revision));
    Ok(response)
}

/// Change a customer
///
/// What is not named stays. `If-Match` names the revision that was read.
#[utoipa::path(
    patch, path = "/api/v1/customers/{id}", tag = "customers", operation_id = "change_customer",
    params(("id" = String, Path, description = "`cus_` and a UUID")),
    request_body(content((ChangeCustomer = "application/json"), (ChangeCustomer = "application/merge-patch+json"))),
    responses((status = 200, description = "What was set", body = CustomerChanged,
        headers(("ETag" = String, description = "The new revision, in quotes")))),
)]
pub(crate) async fn change(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<ChangeCustomer>,
) -> Result<Response, Problem> {
    let Posted { body: ChangeCustomer { email, name, addresses }, asked } = posted;
    let id = parse::person::customer_id("id", &id)?;
    let plain = plain(email, name, addresses)?;
    let expected = asked.expected()?;
    let unknown = || Problem::from(Refusal::UnknownCustomer { customer: id });
    match app.site.read().customer(id)? {
        None => return Err(unknown()),
        // Sealed here it could be opened nowhere else.
        Some((home, known)) if home != *app.site.id() && known.erased_at.is_none() => {
            return elsewhere(&app, &asked, unknown()).await;
        }
        Some(_) => {}
    }
    let edit = Box::new(seal(&app, id, &plain).await?);
    let command = Command::SaveCustomer { id, edit, expected, must: Must::Exist };
    let changed = write(&app, &asked, command, |answer| {
        let (updated_at, revision) = (convert::time(answer.recorded_at)?, expected.map(|before| before + 1));
        let set = expect_event(answer, |event| match event {
            Event::CustomerSaved { edit, .. } => Some((**edit).clone()),
            _ => None,
        })?;
        let mut reading = app.personal.reading(id)?;
        let email = reading.open(&place::CUSTOMER_EMAIL, set.email.as_ref().map(|(_, email)| email));
        let name = reading.open(&place::CUSTOMER_NAME, set.name.as_ref());
        let addresses = set.addresses.map(|sealed| opened(&mut reading, &sealed));
        let (id, position) = (id.to_string(), answer.position.to_string());
        Ok(Told::changed(CustomerChanged { id, email, name, addresses, revision, updated_at, position })
            .revision(revision))
    });
    changed.await.map_err(|problem| refused_edit(problem, expected, || read_one(&app, &app.site.read(), id)))
}

/// Erase a person
///
/// Forgets a customer or a guest: their key is destroyed at every site, and nobody reads their fields any more.
/// What they bought stays. It cannot be undone.
#[utoipa::path(
    post, path = "/api/v1/customers/{id}/erase", tag = "customers", operation_id = "erase_customer",
    params(("id" = String, Path, description = "`cus_` and a UUID")),
    request_body(content = Option<EraseCustomer>, description = "Nothing, or why"),
    responses((status = 200, description = "The person is forgotten", body = CustomerErased)),
)]
pub(crate) async fn erase(
    State(app): State<App>,
    Named(id): Named<String>,
    posted: Posted<EraseCustomer>,
) -> Result<Response, Problem> {
    let Posted { body: EraseCustomer { reason }, asked } = posted;
    let id = parse::person::customer_id("id", &id)?;
    let reason = parse::optional("/reason", reason, Reason::parse)?;
    // Who is a customer is erased where they are kept: there their e-mail address stops being taken.
    if let Some((home, known)) = app.site.read().customer(id)?
        && home != *app.site.id()
        && known.erased_at.is_none()
    {
        return elsewhere(&app, &asked, Refusal::UnknownCustomer { customer: id }.into()).await;
    }
    let erased = write(&app, &asked, Command::EraseCustomer { id, reason }, |answer| told_erased(&app, id, answer));
    let erased = erased.await?;
    // What fails here is tried again, and `kontor_persons_awaiting_erasure` says so until it is done.
    app.personal.destroy_erased().await.map_err(Problem::after_write)?;
    Ok(erased)
}

fn told_erased(app: &App, id: CustomerId, answer: &Answer) -> Result<Told<CustomerErased>, Problem> {
    let is_erasure = |event: &Event| matches!(event, Event::CustomerErased { .. });
    let erased_at = match answer.events.iter().any(is_erasure) {
        true => answer.recorded_at,
        false => {
            let known = app.site.read().customer(id)?;
            let erased_at = known.and_then(|(_, known)| known.erased_at);
            erased_at.ok_or_else(|| Problem::internal("nobody was erased, now or before"))?
        }
    };
    let (id, erased_at, position) = (id.to_string(), convert::time(erased_at)?, answer.position.to_string());
    Ok(Told::changed(CustomerErased { id, erased: true, erased_at, position }))
}

/// What is set of a customer, checked and not sealed yet.
struct Plain {
    email: Option<String>,
    name: Option<String>,
    addresses: Option<Vec<personal::Address>>,
}

fn plain(email: Option<String>, name: Option<String>, addresses: Option<Vec<Address>>) -> Result<Plain, Problem> {
    let many = addresses.as_ref().is_some_and(|addresses| addresses.len() > CUSTOMER_ADDRESSES_MAX);
    if many {
        return Err(Problem::invalid("/addresses", format!("at most {CUSTOMER_ADDRESSES_MAX} addresses are kept")));
    }
    let address = |(at, address)| parse::person::address(&format!("/addresses/{at}"), address);
    Ok(Plain {
        email: email.map(|email| parse::person::email("/email", &email)).transpose()?,
        name: name.map(|name| parse::person::name("/name", &name)).transpose()?,
        addresses: addresses.map(|given| given.into_iter().enumerate().map(address).collect()).transpose()?,
    })
}

async fn seal(app: &App, id: CustomerId, plain: &Plain) -> Result<core::CustomerEdit, Problem> {
    let Plain { email, name, addresses } = plain;
    if email.is_none() && name.is_none() && addresses.as_ref().is_none_or(Vec::is_empty) {
        return Ok(core::CustomerEdit { addresses: addresses.as_ref().map(|_| Vec::new()), ..Default::default() });
    }
    let key = app.personal.key(id).await?;
    let addresses = addresses.as_ref().map(|addresses| {
        addresses.iter().map(|address| key.seal(&place::CUSTOMER_ADDRESS, address)).collect::<Result<_, _>>()
    });
    let sealed = key.seal_some(&place::CUSTOMER_EMAIL, email.as_ref())?;
    let hash = email.as_ref().map(|email| app.personal.email_hash(email));
    Ok(core::CustomerEdit {
        email: hash.zip(sealed),
        name: key.seal_some(&place::CUSTOMER_NAME, name.as_ref())?,
        addresses: addresses.transpose()?,
    })
}

fn read_one(app: &App, reader: &Reader, id: CustomerId) -> Result<Option<Customer>, Problem> {
    reader.customer(id)?.map(|(home, customer)| shown(app, id, &home, &customer)).transpose()
}

fn shown(app: &App, id: CustomerId, home: &SiteId, customer: &core::Customer) -> Result<Customer, Problem> {
    let mut reading = app.personal.reading(id)?;
    let email = reading.open(&place::CUSTOMER_EMAIL, customer.email.as_ref());
    let name = reading.open(&place::CUSTOMER_NAME, customer.name.as_ref());
    let addresses = opened(&mut reading, &customer.addresses);
    let is_unread = reading.is_erased || addresses.len() < customer.addresses.len();
    Ok(Customer {
        id: id.to_string(),
        email,
        name,
        addresses: (!is_unread).then_some(addresses),
        erased: reading.is_erased,
        sealed: reading.is_sealed,
        home: home.to_string(),
        revision: customer.revision,
        created_at: convert::time(customer.created_at)?,
        updated_at: convert::time(customer.updated_at)?,
        erased_at: customer.erased_at.map(convert::time).transpose()?,
    })
}

fn opened(reading: &mut Reading, addresses: &[core::Sealed]) -> Vec<Address> {
    let opened = addresses.iter().filter_map(|sealed| reading.open(&place::CUSTOMER_ADDRESS, Some(sealed)));
    opened.map(Address::from).collect()
}
