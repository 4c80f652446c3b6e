//! Log macros for crates that may run without a logger, on `log`, or on `defmt`.
//!
//! The format string may hold only plain `{}` places, and the arguments must be numbers, strings
//! or booleans: that is what all three back ends print alike. With neither feature the call
//! compiles to nothing; with both, `defmt` wins.

/// Logs one message at the given level; the five macros below call it.
#[cfg(feature = "defmt")]
#[doc(hidden)]
#[macro_export]
macro_rules! log_at {
    ($level:ident, $($arg:tt)+) => {{
        // The back end's macro names its crate, which the caller need not depend on.
        use $crate::private::defmt;
        defmt::$level!($($arg)+)
    }};
}

/// Logs one message at the given level; the five macros below call it.
#[cfg(all(feature = "log", not(feature = "defmt")))]
#[doc(hidden)]
#[macro_export]
macro_rules! log_at {
    ($level:ident, $($arg:tt)+) => {
        $crate::private::log::$level!($($arg)+)
    };
}

/// Logs one message at the given level; the five macros below call it.
#[cfg(not(any(feature = "log", feature = "defmt")))]
#[doc(hidden)]
#[macro_export]
macro_rules! log_at {
    ($level:ident, $($arg:tt)+) => {
        if false {
            let _ = ::core::format_args!($($arg)+);
        }
    };
}

/// One line for every datagram or timer: off unless somebody is looking for a fault.
#[macro_export]
macro_rules! trace {
    ($($arg:tt)+) => { $crate::log_at!(trace, $($arg)+) };
}

/// Something odd that was dealt with: a dropped datagram, a late answer.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)+) => { $crate::log_at!(debug, $($arg)+) };
}

/// A step in the life of a registration or of the process.
#[macro_export]
macro_rules! info {
    ($($arg:tt)+) => { $crate::log_at!(info, $($arg)+) };
}

/// Something a human should look at tomorrow.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)+) => { $crate::log_at!(warn, $($arg)+) };
}

/// Something a human should look at now; nothing that a peer sends may cause it.
#[macro_export]
macro_rules! error {
    ($($arg:tt)+) => { $crate::log_at!(error, $($arg)+) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_level_takes_numbers_strings_and_booleans() {
        let dropped = 3_u8;
        crate::trace!("datagram of {} bytes", 12);
        crate::debug!("dropped {} datagrams", dropped);
        crate::info!("registered {}", "device");
        crate::warn!("store is slow: {}", true);
        crate::error!("no reason");
    }
}
