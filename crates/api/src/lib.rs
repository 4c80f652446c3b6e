//! The shapes of Lightship's REST API, its OpenAPI document and a typed client.
