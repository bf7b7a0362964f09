//! What models see of responses.
