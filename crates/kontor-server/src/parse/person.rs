//! Personal fields, as they are sent. What is wrong with one is said without repeating it: problems are logged.

use kontor_api::person::{Address, Contact};
use kontor_core::id::CustomerId;

use crate::limits::{EMAIL_CHARS_MAX, PERSON_CODE_CHARS_MAX, PERSON_TEXT_CHARS_MAX};
use crate::personal;
use crate::problem::Problem;

/// A customer's id.
pub(crate) fn customer_id(pointer: &str, text: &str) -> Result<CustomerId, Problem> {
    CustomerId::parse(text).map_err(|_| Problem::invalid(pointer, "a customer id is cus_ and a UUID"))
}

/// An e-mail address that could be one.
pub(crate) fn email(pointer: &str, given: &str) -> Result<String, Problem> {
    let email = given;
    let parts = email.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
    let is_printable = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if parts.is_none() || !is_printable || email.chars().count() > EMAIL_CHARS_MAX {
        let said = format!("an e-mail address has a name, an @ and a domain, and at most {EMAIL_CHARS_MAX} characters");
        return Err(Problem::invalid(pointer, said));
    }
    Ok(email.to_owned())
}

/// What somebody is called.
pub(crate) fn name(pointer: &str, given: &str) -> Result<String, Problem> {
    text(|| pointer.to_owned(), given, PERSON_TEXT_CHARS_MAX)
}

/// An address; `prefix` says where it stands.
pub(crate) fn address(prefix: &str, given: Address) -> Result<personal::Address, Problem> {
    let at = |field: &str| format!("{prefix}/{field}");
    let needed = |field: &str, given: &str| text(|| at(field), given, PERSON_TEXT_CHARS_MAX);
    let optional = |field: &str, given: Option<String>, chars_max: usize| {
        given.map(|given| text(|| at(field), &given, chars_max)).transpose()
    };
    let is_country = given.country.len() == 2 && given.country.bytes().all(|b| b.is_ascii_uppercase());
    if !is_country {
        return Err(Problem::invalid(at("country"), "a country is two capital letters of ISO 3166, as in GB"));
    }
    Ok(personal::Address {
        name: needed("name", &given.name)?,
        company: optional("company", given.company, PERSON_TEXT_CHARS_MAX)?,
        line1: needed("line1", &given.line1)?,
        line2: optional("line2", given.line2, PERSON_TEXT_CHARS_MAX)?,
        city: needed("city", &given.city)?,
        postal_code: optional("postal_code", given.postal_code, PERSON_CODE_CHARS_MAX)?,
        region: optional("region", given.region, PERSON_TEXT_CHARS_MAX)?,
        country: given.country,
        phone: optional("phone", given.phone, PERSON_CODE_CHARS_MAX)?,
    })
}

/// Where a buyer is reached; `prefix` says where it stands.
pub(crate) fn contact(prefix: &str, given: Contact) -> Result<personal::PlainContact, Problem> {
    let Contact { email: given_email, ship_to, bill_to } = given;
    let at = |field: &str| format!("{prefix}/{field}");
    Ok(personal::PlainContact {
        email: given_email.map(|given| email(&at("email"), &given)).transpose()?,
        ship_to: ship_to.map(|given| address(&at("ship_to"), given)).transpose()?,
        bill_to: bill_to.map(|given| address(&at("bill_to"), given)).transpose()?,
    })
}

fn text(pointer: impl Fn() -> String, given: &str, chars_max: usize) -> Result<String, Problem> {
    let is_printable = given.trim() == given && !given.chars().any(char::is_control);
    if is_printable && (1..=chars_max).contains(&given.chars().count()) {
        return Ok(given.to_owned());
    }
    Err(Problem::invalid(
        pointer(),
        format!("1 to {chars_max} characters on one line are taken, without white space around them"),
    ))
}
