//! The engine under virtual time, against servers played by hand.

mod bench;
mod observe;
mod operations;
mod random;
mod register;
