//! What a port must provide to Lightship: time, randomness, logging.

#![no_std]
