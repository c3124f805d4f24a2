mod documented;
mod global_catalog;
mod inventory;
mod products;
mod shop;
mod web;
