//! CoAP with one peer: codec, reliability, Observe, block-wise, link format.

#![no_std]
