//! Locations: opened, read.

use kontor_api::location::{Location, OpenLocation};
use kontor_api::path;

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Opens a location.
    pub async fn open_location(&self, location: &OpenLocation, key: Option<&str>) -> Result<Location, ClientError> {
        self.write(path::LOCATIONS, key, location).await
    }

    /// One location.
    pub async fn location(&self, id: &str) -> Result<Location, ClientError> {
        self.read(&path::with(path::LOCATION, &[id])).await
    }
}
