//! The engines behave alike: every test here runs on SQLite and on PostgreSQL unless its name says one.

mod append;
mod world;
mod write;
