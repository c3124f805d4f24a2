//! What is done with requests, one file per resource.

pub(crate) mod health;
pub(crate) mod v1;
