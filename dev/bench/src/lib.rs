//! Benchmarks of Lightship beside other libraries.
