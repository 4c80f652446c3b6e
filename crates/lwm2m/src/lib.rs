//! The LwM2M vocabulary: paths, values, content formats, operations, object definitions.

#![no_std]
