//! Where people are reached, and where goods and bills go. What is sent here is sealed before it is kept, and is
//! gone when the person is erased.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where somebody lives or works, as it is written on a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Ada Example", "line1": "Long Lane 4", "city": "Bristol", "postal_code": "BS1 4DJ", "country": "GB"
}))]
pub struct Address {
    /// Who lives or works there.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// For whom they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 120)]
    pub company: Option<String>,
    /// Street and number, or a post box.
    #[schema(min_length = 1, max_length = 120)]
    pub line1: String,
    /// What else finds the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 120)]
    pub line2: Option<String>,
    /// The town.
    #[schema(min_length = 1, max_length = 120)]
    pub city: String,
    /// Where the country has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 32)]
    pub postal_code: Option<String>,
    /// State, province or county, where the post asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 120)]
    pub region: Option<String>,
    /// Two letters of ISO 3166.
    #[schema(min_length = 2, max_length = 2, pattern = "^[A-Z]{2}$")]
    pub country: String,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 32)]
    pub phone: Option<String>,
}

/// Where a buyer is reached, and where goods and bills go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 3,
        max_length = 254,
        pattern = r"^[^\s\u0000-\u001f\u007f-\u009f]+@[^\s@\u0000-\u001f\u007f-\u009f]+$"
    )]
    pub email: Option<String>,
    /// Where the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<Address>,
    /// Where the bill goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill_to: Option<Address>,
}

/// The same as it is shown: `null` where nothing is known, or nothing can be read any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactShown {
    /// Whose fields they are: a customer, or a guest, who is erased by this id too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "cus_01a200cedb81799e9f19ae53878351a4")]
    pub person_id: Option<String>,
    /// The e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Where the goods go.
    #[serde(default)]
    pub ship_to: Option<Address>,
    /// Where the bill goes.
    #[serde(default)]
    pub bill_to: Option<Address>,
    /// The person was erased: nobody reads these fields any more, anywhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// Something is kept that this site has no key for: the site that took it shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
}
