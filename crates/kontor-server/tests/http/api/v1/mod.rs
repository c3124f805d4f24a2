mod access;
mod changes;
mod input;
mod locations;
mod movements;
mod products;
mod reservations;
mod stock;
