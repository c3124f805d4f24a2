//! Customers: who buys, with personal fields that can be forgotten everywhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::person::Address;
use crate::time::Time;

/// Somebody who buys here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Customer {
    /// Their id; it says nothing about them.
    #[schema(example = "cus_019aa5c1d5f87e21b2f4b8a3c6d1e0f7")]
    pub id: String,
    /// The e-mail address; `null` if none is known or it cannot be read.
    pub email: Option<String>,
    /// What they are called; `null` if nothing is known or it cannot be read.
    pub name: Option<String>,
    /// Where they live or work; `null` if that cannot be read.
    pub addresses: Option<Vec<Address>>,
    /// The person was erased: nobody reads their fields any more, anywhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// Something is kept that this site has no key for: the site `home` shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// The site that keeps them.
    #[schema(example = "main")]
    pub home: String,
    /// Counts the changes, from 1; the entity tag is this number in quotes.
    pub revision: u64,
    /// When they were first kept.
    pub created_at: Time,
    /// When they were changed last.
    pub updated_at: Time,
    /// When the person was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub erased_at: Option<Time>,
}

/// Keeps somebody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "name": "Ada Example"}))]
pub struct CreateCustomer {
    /// `cus_` and a UUID; made by the server if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The e-mail address; no two customers of a site have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 3,
        max_length = 254,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f]+@[^\s@\u0000-\u001f\u007f-\u009f]+$"
    )]
    pub email: Option<String>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 120)]
    pub name: Option<String>,
    /// Where they live or work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20)]
    pub addresses: Option<Vec<Address>>,
}

/// Sets something of a customer; what is not named stays.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ada Example"}))]
pub struct ChangeCustomer {
    /// The e-mail address.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        min_length = 3,
        max_length = 254,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f]+@[^\s@\u0000-\u001f\u007f-\u009f]+$"
    )]
    pub email: Option<String>,
    /// What they are called.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 120)]
    pub name: Option<String>,
    /// All addresses, in their order.
    #[serde(default, deserialize_with = "crate::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 20)]
    pub addresses: Option<Vec<Address>>,
}

/// What a change has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomerChanged {
    /// Whose.
    pub id: String,
    /// The e-mail address now, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// The name now, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The addresses now, if they were set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub addresses: Option<Vec<Address>>,
    /// The revision that the change made, if `If-Match` named the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<u64>,
    /// When.
    pub updated_at: Time,
    /// The entry in the journal.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Forgets a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "asked for it"}))]
pub struct EraseCustomer {
    /// Why. It is kept for ever, so nothing personal belongs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub reason: Option<String>,
}

/// A person who is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomerErased {
    /// Who it was.
    pub id: String,
    /// Always.
    pub erased: bool,
    /// When.
    pub erased_at: Time,
    /// The entry in the journal; of one that was erased before, how far it was folded.
    #[schema(example = "1-7-0")]
    pub position: String,
}

/// Bodies with personal fields are not logged, so they do not say them.
macro_rules! says_nothing {
    ($($type:ident)*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        })*
    };
}

says_nothing! { CreateCustomer ChangeCustomer }
