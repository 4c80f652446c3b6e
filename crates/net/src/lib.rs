//! Moves datagrams between sockets and Lightship's engines.
