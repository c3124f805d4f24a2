//! Reservations: made, read, extended, ended. Every write carries a key; send the same one again
//! after an unknown outcome.

use kontor_api::reservation::{ExtendReservation, MakeReservation, Reservation, ReservationExtended};
use kontor_api::{Empty, path};

use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Holds units until a deadline, all lines or none.
    pub async fn reserve(&self, hold: &MakeReservation, key: &str) -> Result<Reservation, ClientError> {
        self.write(path::RESERVATIONS, Some(key), hold).await
    }

    /// One reservation.
    pub async fn reservation(&self, id: &str) -> Result<Reservation, ClientError> {
        self.read(&path::with(path::RESERVATION, &[id])).await
    }

    /// Gives a hold another deadline, counted from now.
    pub async fn extend(
        &self,
        id: &str,
        to: &ExtendReservation,
        key: &str,
    ) -> Result<ReservationExtended, ClientError> {
        self.write(&path::with(path::EXTEND, &[id]), Some(key), to).await
    }

    /// Turns a hold into a promise to an order.
    pub async fn commit(&self, id: &str, key: &str) -> Result<Reservation, ClientError> {
        self.write(&path::with(path::COMMIT, &[id]), Some(key), &Empty {}).await
    }

    /// Gives a hold back.
    pub async fn release(&self, id: &str, key: &str) -> Result<Reservation, ClientError> {
        self.write(&path::with(path::RELEASE, &[id]), Some(key), &Empty {}).await
    }
}
