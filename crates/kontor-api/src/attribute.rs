//! What is true of a product besides its texts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The value of an attribute: a text, a whole or decimal number, true or false, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Yes or no.
    Flag(bool),
    /// A number of at most 15 digits.
    Number(serde_json::Number),
    /// Words.
    Text(String),
    /// Several words.
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadAttribute)
    }
}

struct ReadAttribute;

impl<'de> Visitor<'de> for ReadAttribute {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false, or a list of texts")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<AttributeValue, E> {
        let number = serde_json::Number::from_f64(number).ok_or_else(|| E::custom("not a number"))?;
        Ok(AttributeValue::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<AttributeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(text) = texts.next_element()? {
            list.push(text);
        }
        Ok(AttributeValue::List(list))
    }
}

impl PartialSchema for AttributeValue {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(1024));
        let plain = |kind| ObjectBuilder::new().schema_type(kind);
        let list = ArrayBuilder::new().items(text()).max_items(Some(100));
        let one_of = OneOfBuilder::new().item(text()).item(plain(Type::Number)).item(plain(Type::Boolean)).item(list);
        one_of.description(Some("A text, a number, true or false, or a list of texts")).into()
    }
}

impl ToSchema for AttributeValue {
    fn name() -> Cow<'static, str> {
        "AttributeValue".into()
    }
}

/// How an attribute is set: to a value, or to `null`, which takes it away. For the API's document alone.
pub struct AttributeOrNull;

impl PartialSchema for AttributeOrNull {
    fn schema() -> RefOr<Schema> {
        or_null::<AttributeValue>("What is set; `null` takes it away")
    }
}

impl ToSchema for AttributeOrNull {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((AttributeValue::name().into(), AttributeValue::schema()));
    }
}

/// The schema of a value, or `null`.
pub(crate) fn or_null<T: ToSchema>(description: &str) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    let one_of = OneOfBuilder::new().item(utoipa::openapi::Ref::from_schema_name(T::name())).item(null);
    one_of.description(Some(description)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_carried_as_they_were_sent() {
        for json in [r#""oak""#, "12", "-0.5", "3.0", "true", r#"["S","M"]"#, "[]", "18446744073709551615"] {
            let value: AttributeValue = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
        for bad in ["null", "{}", "[1]", "[[\"S\"]]"] {
            assert!(serde_json::from_str::<AttributeValue>(bad).is_err(), "{bad}");
        }
    }
}
