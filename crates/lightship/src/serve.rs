//! `lightship serve`: flags to configuration, then the service until it is told to end.

use crate::cli::ServeArguments;
use crate::failure::{Failure, chain};
use crate::output;
use lightship_service::config::{OneOrMany, RawListen, RawQueue, RawRegistration, RawSecurity, RawStore};
use lightship_service::{Config, RawConfig, Running, Service, StartError};

/// Runs the command.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let config = Config::load(arguments.config.as_deref(), environment, flags(arguments))
        .map_err(|error| Failure::usage(chain(&error)))?;
    if arguments.take_over && config.store.folder.is_none() {
        return Err(Failure::usage(
            "--take-over needs a data folder: --data, or store.folder of the configuration".to_owned(),
        ));
    }
    let running = if arguments.take_over { Service::take_over(&config) } else { Service::start(config) };
    let running = running.map_err(|error| {
        if error.is_in_use() && !arguments.take_over {
            let message = chain(&error);
            return Failure::failed(format!(
                "{message}; --take-over tells it to stop, and goes on in its place"
            ));
        }
        start_failure(&error)
    })?;
    let signals = running.catch_signals();
    let told = match tell_ready(&running) {
        // Whoever started the server need not listen to it.
        Ok(()) | Err(Failure::OutputClosed) => {
            signals.wait();
            Ok(())
        }
        failed => failed,
    };
    running.stop();
    told
}

/// Prints one line per listener, then `ready`.
pub(crate) fn tell_ready(running: &Running) -> Result<(), Failure> {
    for listener in running.listeners() {
        output::line(&format!("listening {listener}"))?;
    }
    output::line("ready")
}

/// What a server that does not start says.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    if let StartError::Config(error) = error {
        Failure::usage(chain(error))
    } else {
        Failure::failed(chain(error))
    }
}

fn flags(arguments: &ServeArguments) -> RawConfig {
    let addresses = |texts: &[String]| (!texts.is_empty()).then(|| OneOrMany::Many(texts.to_vec()));
    RawConfig {
        dev: arguments.dev.then_some(true),
        listen: RawListen {
            coap: addresses(&arguments.coap),
            coaps: addresses(&arguments.coaps),
            bootstrap_coap: addresses(&arguments.bootstrap_coap),
            bootstrap_coaps: addresses(&arguments.bootstrap_coaps),
            http: addresses(&arguments.http),
            shards: arguments.shards.map(u64::from),
        },
        security: RawSecurity { seal_key_file: arguments.seal_key.clone(), ..RawSecurity::default() },
        registration: RawRegistration { grace_s: arguments.registration_grace, ..RawRegistration::default() },
        queue: RawQueue { awake_window_s: arguments.awake_window },
        store: RawStore { folder: arguments.data.clone(), ..RawStore::default() },
        ..RawConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use lightship_service::config::SealKey;

    fn flags_of(line: &str) -> RawConfig {
        let cli = Cli::parse_from(line.split_whitespace());
        let Command::Serve(arguments) = cli.command else { panic!("not serve") };
        flags(&arguments)
    }

    #[test]
    fn flags_become_configuration() {
        let raw = flags_of(
            "lightship serve --dev --coap 127.0.0.1:1 --coap [::1]:2 --http none --bootstrap-coap none --shards 3 --data d \
             --awake-window 7 --registration-grace 8 --coaps none --bootstrap-coaps 127.0.0.1:3 --seal-key k",
        );
        let config = Config::from_raw(raw).expect("allowed");
        assert_eq!(config.listen.coap.len(), 2);
        assert!(config.listen.http.is_empty() && config.listen.bootstrap_coap.is_empty());
        assert!(config.listen.coaps.is_empty() && config.listen.coaps_said);
        assert_eq!(config.listen.bootstrap_coaps, ["127.0.0.1:3".parse().expect("an address")]);
        assert_eq!(config.listen.shards, 3);
        assert_eq!(config.store.folder.as_deref(), Some(std::path::Path::new("d")));
        assert_eq!(config.queue.awake_window.as_secs(), 7);
        assert_eq!(config.registration.grace.as_secs(), 8);
        assert!(config.security.allow_nosec);
        assert_eq!(config.security.seal_key, SealKey::File("k".into()));
    }

    #[test]
    fn without_flags_nothing_is_set() {
        assert_eq!(flags_of("lightship serve"), RawConfig::default());
    }
}
