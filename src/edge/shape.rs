//! Carries out what config says of the form of requests and responses: fields, CORS, compression,
//! answers without an upstream. It decides nothing: what it does follows from the api and the
//! operation that the decision found.

pub mod accept;
pub mod dress;
pub mod edits;
pub mod encoder;
pub mod local;
pub mod response;
