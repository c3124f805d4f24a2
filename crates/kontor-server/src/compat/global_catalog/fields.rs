//! Fields of a body, read one by one: all that is wrong is told at once, as the service tells it.

use std::fmt::Display;

use axum::response::Response;
use http::StatusCode;
use kontor_core::product::attribute::AttributeValue;
use kontor_core::product::text::Name;
use serde_json::{Map, Number, Value, json};

use crate::compat::decoded;
use crate::problem::Problem;
use crate::routes::v1::json as answer;

/// A body, and what is wrong with it.
pub(super) struct Fields {
    place: &'static str,
    fields: Map<String, Value>,
    wrong: Vec<Value>,
}

impl Fields {
    pub(super) fn of(body: &[u8]) -> Self {
        let (mut fields, mut wrong) = (Map::new(), Vec::new());
        match serde_json::from_slice(body) {
            Ok(Value::Object(found)) => fields = found,
            Ok(_) => wrong.push(json!({"loc": ["body"], "msg": "Input should be an object", "type": "dict_type"})),
            Err(error) => {
                wrong
                    .push(json!({"loc": ["body", error.column()], "msg": "JSON decode error", "type": "json_invalid"}));
            }
        }
        Self { place: "body", fields, wrong }
    }

    /// The same from the parameters of a path; what looks like a number is one.
    pub(super) fn of_query(query: &str) -> Self {
        let mut fields = Map::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let text = decoded(value);
            let value = match name {
                "price_local" | "price_remote" => text.parse().map_or(Value::String(text), Value::Number),
                _ => Value::String(text),
            };
            fields.insert(name.to_owned(), value);
        }
        Self { place: "query", fields, wrong: Vec::new() }
    }

    pub(super) fn is_wrong(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// A text that must be there.
    pub(super) fn text<T, E: Display>(&mut self, name: &str, parse: impl FnOnce(String) -> Result<T, E>) -> Option<T> {
        // What is no object lacks nothing: it was said already.
        if self.fields.get(name).is_none_or(Value::is_null) && !self.is_wrong_whole() {
            self.object(name, "missing", "Field required");
            return None;
        }
        self.maybe_text(name, parse)
    }

    /// A text that may be there.
    pub(super) fn maybe_text<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        match self.fields.get(name)? {
            Value::Null => None,
            Value::String(text) => {
                let parsed = parse(text.clone());
                self.checked(name, parsed)
            }
            _ => {
                self.object(name, "string_type", "Input should be a valid string");
                None
            }
        }
    }

    /// A number that may be there.
    pub(super) fn maybe_number(&mut self, name: &str) -> Option<Number> {
        match self.fields.get(name)? {
            Value::Null => None,
            Value::Number(number) => Some(number.clone()),
            _ => {
                self.object(name, "float_type", "Input should be a valid number");
                None
            }
        }
    }

    /// A number of units, none if it is not there.
    pub(super) fn units(&mut self, name: &str) -> u64 {
        let (kind, message) = match self.fields.get(name) {
            None | Some(Value::Null) => return 0,
            Some(Value::Number(number)) => match number.as_u64() {
                Some(units) if units <= kontor_core::limits::QUANTITY_MAX => return units,
                _ if number.as_i64().is_some_and(|units| units < 0) => {
                    ("greater_than_equal", "Input should be greater than or equal to 0")
                }
                _ => ("int_type", "Input should be a valid number of units"),
            },
            Some(_) => ("int_type", "Input should be a valid integer"),
        };
        self.object(name, kind, message);
        0
    }

    /// An object of attributes, none if it is not there.
    pub(super) fn attributes(&mut self, name: &str) -> Vec<(Name, AttributeValue)> {
        let given = match self.fields.get(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Object(given)) => given.clone(),
            Some(_) => {
                self.object(name, "dict_type", "Input should be a valid dictionary");
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for (attribute, value) in &given {
            match (super::attribute_name(attribute), super::attribute(value)) {
                (Ok(name), Ok(value)) => found.push((name, value)),
                (Err(why), _) | (_, Err(why)) => {
                    let loc = json!([self.place, name, attribute]);
                    self.wrong.push(json!({"loc": loc, "msg": why, "type": "value_error"}));
                }
            }
        }
        found
    }

    /// Notes a value that was not taken.
    pub(super) fn checked<T>(&mut self, name: &str, checked: Result<T, impl Display>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(error) => {
                self.object(name, "value_error", &error.to_string());
                None
            }
        }
    }

    /// The answer to a body that is wrong.
    pub(super) fn refuse(self) -> Result<Response, Problem> {
        // A price that cannot be kept exactly is no matter of form.
        let is_price = |wrong: &Value| wrong["loc"][1].as_str().is_some_and(|name| name.starts_with("price"));
        let is_value = |wrong: &Value| wrong["type"] == "value_error";
        let status = match self.wrong.iter().all(|wrong| is_price(wrong) && is_value(wrong)) {
            true => StatusCode::BAD_REQUEST,
            false => StatusCode::UNPROCESSABLE_ENTITY,
        };
        answer(status, &json!({"detail": self.wrong}))
    }

    fn is_wrong_whole(&self) -> bool {
        self.fields.is_empty() && !self.wrong.is_empty()
    }

    fn object(&mut self, name: &str, kind: &str, message: &str) {
        self.wrong.push(json!({"loc": [self.place, name], "msg": message, "type": kind}));
    }
}
