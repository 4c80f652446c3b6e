//! Objects as a server and as the user meet them.
