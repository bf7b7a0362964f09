//! What a request looks like, whatever the arguments.
