//! Transfers: units of one location, asked for at another. Every write carries a key; send the same one again
//! after an unknown outcome.

use kontor_api::transfer::{AskTransfer, ReceiveTransfer, Transfer, TransferTaken};
use kontor_api::{Empty, path};

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Asks for units that are at another location, at the site that keeps the books of where they are wanted.
    pub async fn ask_transfer(&self, wanted: &AskTransfer, key: &str) -> Result<Transfer, ClientError> {
        self.write(path::TRANSFERS, Some(key), wanted).await
    }

    /// One transfer, as far as the site has read of it.
    pub async fn transfer(&self, id: &str) -> Result<Transfer, ClientError> {
        self.read(&path::with(path::TRANSFER, &[id])).await
    }

    /// Takes it back, until it is confirmed.
    pub async fn withdraw_transfer(&self, id: &str, key: &str) -> Result<TransferTaken, ClientError> {
        self.write(&path::with(path::WITHDRAW_TRANSFER, &[id]), Some(key), &Empty {}).await
    }

    /// Hands its units out, at the site that was asked.
    pub async fn dispatch_transfer(&self, id: &str, key: &str) -> Result<TransferTaken, ClientError> {
        self.write(&path::with(path::DISPATCH_TRANSFER, &[id]), Some(key), &Empty {}).await
    }

    /// Books its units in, at the site that asked.
    pub async fn receive_transfer(
        &self,
        id: &str,
        arrived: &ReceiveTransfer,
        key: &str,
    ) -> Result<TransferTaken, ClientError> {
        self.write(&path::with(path::RECEIVE_TRANSFER, &[id]), Some(key), arrived).await
    }
}
