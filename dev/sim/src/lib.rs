//! A virtual world for Lightship's engines.
