//! How many: a number of units that is at least one.

use serde::{Deserialize, Serialize};

use crate::limits::QUANTITY_MAX;

/// Whole units, 1 to [`QUANTITY_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Quantity(u64);

/// A number of units that is none or too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a quantity is a whole number from 1 to {QUANTITY_MAX}, not {0}")]
pub struct QuantityError(pub i128);

impl Quantity {
    /// Checks the bounds.
    pub fn new(units: u64) -> Result<Self, QuantityError> {
        match units {
            1..=QUANTITY_MAX => Ok(Self(units)),
            _ => Err(QuantityError(units.into())),
        }
    }

    /// The number of units.
    pub fn units(self) -> u64 {
        self.0
    }

    /// The number of units, for arithmetic that may go below zero.
    pub fn signed(self) -> i64 {
        i64::try_from(self.0).expect("QUANTITY_MAX fits")
    }
}

impl TryFrom<u64> for Quantity {
    type Error = QuantityError;
    fn try_from(units: u64) -> Result<Self, QuantityError> {
        Self::new(units)
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}
