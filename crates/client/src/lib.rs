//! A LwM2M Client engine without sockets, clock or allocator.

#![no_std]
