//! `lightship ctl`: the REST API from a shell, through `api`'s typed client.
//!
//! `value` turns what is typed into Nodes, `composite` speaks of several paths at once, `show` turns answers into text, `events` follows the stream.

mod access;
mod attribute;
mod bootstrap;
mod bulk;
mod certificate;
mod composite;
mod credentials;
mod definition;
mod events;
mod fleet;
mod history;
mod input;
mod log;
mod models;
mod raw;
mod security;
mod show;
mod trace;
mod value;

use self::definition::Definitions;
use crate::cli::{
    self, CommandsArguments, CtlArguments, CtlCommand, Delivery, DownlinkCommand, Place, Values,
};
use crate::failure::{Failure, chain};
use crate::output;
use lightship_api::client::{Client, ClientError, DownlinkOptions, WriteMode};
use lightship_api::{AttributesBody, CommandMove, CommandPosition, DownlinkAnswer};
use lightship_lwm2m::Path;
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// Runs the command.
pub(crate) fn run(arguments: CtlArguments) -> Result<(), Failure> {
    if let CtlCommand::Completions { shell } = arguments.command {
        return cli::completions(shell);
    }
    let url = &arguments.url;
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if host.is_none_or(|host| host.trim_matches('/').is_empty()) {
        let why = format_args!("{url:?} is no address of a server such as http://127.0.0.1:8080");
        return Err(Failure::usage(why));
    }
    let client = Client::new(url, arguments.token);
    let session = Session { definitions: Definitions::new(&client), client: &client, json: arguments.json };
    session.run(arguments.command)
}

/// One server, and how to print what it says.
struct Session<'a> {
    client: &'a Client,
    definitions: Definitions<'a>,
    json: bool,
}

impl Session<'_> {
    fn run(&self, command: CtlCommand) -> Result<(), Failure> {
        match command {
            CtlCommand::Endpoints(arguments) => self.endpoints(&arguments),
            CtlCommand::Fleet => self.fleet(),
            CtlCommand::Rates { minutes } => self.rates(minutes),
            CtlCommand::Bulk { command } => self.bulk(&command),
            CtlCommand::Values { endpoint, path } => self.values(&endpoint, path.as_deref()),
            CtlCommand::Show { endpoint } => {
                let registration = self.client.endpoint(&endpoint).map_err(|error| self.refused(error))?;
                self.print(&registration, || show::registration(&registration))
            }
            CtlCommand::Forget { endpoint } => {
                self.client.forget(&endpoint).map_err(|error| self.refused(error))?;
                self.print(&serde_json::json!({}), || format!("{endpoint} is forgotten"))
            }
            CtlCommand::Observations { endpoint } => {
                let found = self.client.observations(&endpoint).map_err(|error| self.refused(error))?;
                self.print(&found, || show::observations(&found, &self.definitions, &endpoint))
            }
            CtlCommand::Commands(arguments) => self.commands(arguments),
            CtlCommand::History(arguments) => self.history(&arguments),
            CtlCommand::Log(arguments) => self.log(&arguments),
            CtlCommand::Trace(arguments) => self.trace(&arguments),
            CtlCommand::Events { follow, endpoint, types, after } => {
                let wanted = events::Wanted { endpoint, types, after, follow, subject: None };
                events::print(self.client, &wanted, self.json).map_err(|error| self.event_failure(error))
            }
            CtlCommand::Session => self.session(),
            CtlCommand::Tokens { command } => self.tokens(command),
            CtlCommand::Audit(arguments) => self.audit(arguments),
            CtlCommand::Credentials { command } => self.credentials(command),
            CtlCommand::Security { command } => self.security(command.as_ref()),
            CtlCommand::Certificate { command } => self.certificate(&command),
            CtlCommand::Handshakes { endpoint } => self.handshakes(&endpoint),
            CtlCommand::Bootstrap { command } => self.bootstrap(command),
            CtlCommand::Models { command } => self.models(command),
            CtlCommand::Completions { shell } => cli::completions(shell),
            CtlCommand::Downlink(command) => self.downlink(command),
        }
    }

    fn commands(&self, arguments: CommandsArguments) -> Result<(), Failure> {
        let CommandsArguments { endpoint, show, cancel, retry, moved, to } = arguments;
        if let Some(endpoint) = endpoint {
            let found = match self.client.commands(&endpoint) {
                Ok(found) => found,
                // Whoever gives the ID of a command in its place means that one.
                Err(error) => match self.client.command(&endpoint) {
                    Ok(command) => return self.print(&command, || show::command(&command)),
                    Err(_) => return Err(self.refused(error)),
                },
            };
            return self.print(&found, || show::commands(&found));
        }
        let command = match (show, cancel, retry, moved) {
            (_, Some(id), ..) => self.client.cancel_command(&id),
            (_, _, Some(id), _) => self.client.retry_command(&id),
            (_, _, _, Some(id)) => self.client.move_command(&id, &target(to)),
            (Some(id), ..) => self.client.command(&id),
            (None, None, None, None) => {
                return Err(Failure::usage("give an endpoint, --show, --cancel, --retry or --move"));
            }
        };
        let command = command.map_err(|error| self.refused(error))?;
        self.print(&command, || show::command(&command))
    }

    fn downlink(&self, command: DownlinkCommand) -> Result<(), Failure> {
        match command {
            DownlinkCommand::Read { endpoint, path, delivery } => {
                let path = parse_path(&path)?;
                self.answer(&endpoint, self.client.read(&endpoint, &path.to_string(), &options(&delivery)?))
            }
            DownlinkCommand::Write { endpoint, path, values, partial, delivery } => {
                let (path, values) = (parse_path(&path)?, read(values)?);
                let node = value::to_write(&self.definitions, &endpoint, path, &values)
                    .map_err(value::Mistake::into_failure)?;
                let mode = if partial { WriteMode::PartialUpdate } else { WriteMode::Replace };
                let options = options(&delivery)?;
                self.answer(&endpoint, self.client.write(&endpoint, &path.to_string(), mode, &node, &options))
            }
            DownlinkCommand::Create { endpoint, path, values, delivery } => {
                let (path, values) = (parse_path(&path)?, read(values)?);
                let node = value::to_create(&self.definitions, &endpoint, path, &values)
                    .map_err(value::Mistake::into_failure)?;
                let object = path.truncated(1).to_string();
                self.answer(&endpoint, self.client.create(&endpoint, &object, &node, &options(&delivery)?))
            }
            DownlinkCommand::Delete { endpoint, path, delivery } => {
                let path = parse_path(&path)?;
                self.answer(&endpoint, self.client.delete(&endpoint, &path.to_string(), &options(&delivery)?))
            }
            DownlinkCommand::Exec { endpoint, path, arguments, delivery } => {
                let path = parse_path(&path)?.to_string();
                let options = options(&delivery)?;
                self.answer(&endpoint, self.client.execute(&endpoint, &path, arguments.as_deref(), &options))
            }
            DownlinkCommand::Discover { endpoint, path, depth, delivery } => {
                let path = parse_path(&path)?.to_string();
                self.answer(&endpoint, self.client.discover(&endpoint, &path, depth, &options(&delivery)?))
            }
            DownlinkCommand::Attributes { endpoint, path, attributes, delivery } => {
                let path = parse_path(&path)?.to_string();
                let body = attribute::parse(&attributes)?;
                let options = options(&delivery)?;
                self.answer(&endpoint, self.client.write_attributes(&endpoint, &path, &body, &options))
            }
            DownlinkCommand::Observe { endpoint, path, attributes, follow, delivery } => {
                let attributes = attribute::parse(&attributes)?;
                self.observe(&endpoint, parse_path(&path)?, &attributes, follow, &options(&delivery)?)
            }
            DownlinkCommand::Composite { command } => self.composite(command),
            DownlinkCommand::Unobserve { endpoint, path, delivery } => {
                let path = parse_path(&path)?.to_string();
                let result = self.client.cancel_observation(&endpoint, &path, &options(&delivery)?);
                self.answer_if_any(&endpoint, result)
            }
        }
    }

    fn observe(
        &self,
        endpoint: &str,
        path: Path,
        attributes: &AttributesBody,
        follow: bool,
        options: &DownlinkOptions,
    ) -> Result<(), Failure> {
        let path = path.to_string();
        self.answer(endpoint, self.client.observe(endpoint, &path, attributes, options))?;
        if follow { self.follow(endpoint, events::Subject::Path(path)) } else { Ok(()) }
    }

    /// Prints each report until someone ends it.
    fn follow(&self, endpoint: &str, subject: events::Subject) -> Result<(), Failure> {
        let wanted = events::Wanted {
            endpoint: Some(endpoint.to_owned()),
            types: vec!["notified".to_owned(), "observation_cancelled".to_owned()],
            after: None,
            follow: true,
            subject: Some(subject),
        };
        events::print(self.client, &wanted, self.json).map_err(|error| self.event_failure(error))
    }

    /// Prints an answer if the device was asked at all.
    fn answer_if_any(
        &self,
        endpoint: &str,
        result: Result<Option<DownlinkAnswer>, ClientError>,
    ) -> Result<(), Failure> {
        match result.transpose() {
            Some(result) => self.answer(endpoint, result),
            // It was not running: the device had nothing to answer.
            None => Ok(()),
        }
    }

    /// Prints an answer; a device that refused makes the command fail.
    fn answer(&self, endpoint: &str, result: Result<DownlinkAnswer, ClientError>) -> Result<(), Failure> {
        let answer = match result {
            Err(ClientError::Queued(command)) => return self.print(&command, || show::command(&command)),
            result => result.map_err(|error| self.refused(error))?,
        };
        self.print(&answer, || show::answer(&answer, &self.definitions, endpoint))?;
        if answer.code.starts_with('2') {
            return Ok(());
        }
        let meaning = show::code_in_words(&answer.code);
        let said = answer.diagnostic.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        Err(Failure::failed(format_args!(
            "{endpoint} answered {} {}: {}{meaning}{said}",
            answer.operation, answer.path, answer.code,
        )))
    }

    fn print(&self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(json).map_err(Failure::failed)?;
            return output::exactly(&json);
        }
        let text = text();
        if text.is_empty() { Ok(()) } else { output::line(&text) }
    }

    /// What the server refused, in words; with `--json` the problem document goes to standard output too.
    #[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
    fn refused(&self, error: ClientError) -> Failure {
        let ClientError::Problem(problem) = &error else { return Failure::failed(chain(&error)) };
        if self.json
            && let Ok(json) = serde_json::to_string_pretty(problem)
            && let Err(failure) = output::exactly(&json)
        {
            return failure;
        }
        Failure::failed(show::problem(problem))
    }

    fn event_failure(&self, failure: events::Failed) -> Failure {
        match failure {
            events::Failed::Server(error) => self.refused(*error),
            events::Failed::Output(failure) => failure,
        }
    }
}

fn parse_path(text: &str) -> Result<Path, Failure> {
    let slashed = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    slashed
        .parse()
        .map_err(|error| Failure::usage(format_args!("{text:?} is no LwM2M path such as /3/0/9: {error}")))
}

/// Values, with the Node from its file.
fn read(values: Values) -> Result<Values, Failure> {
    let node = values.node.as_deref().map(input::json).transpose()?.map(Cow::into_owned);
    Ok(Values { node, ..values })
}

fn options(delivery: &Delivery) -> Result<DownlinkOptions, Failure> {
    let wait = delivery.wait.as_deref().map(parse_duration).transpose()?;
    Ok(DownlinkOptions {
        format: delivery.format.clone(),
        wait,
        queue: delivery.queue,
        not_after: delivery.not_after.clone(),
        priority: delivery.priority,
        attempts: delivery.attempts,
        retry_after: delivery.retry_after.clone(),
        supersede: delivery.supersede,
        check: delivery.check.clone(),
        raw: delivery.raw,
        ..DownlinkOptions::default()
    })
}

fn target(to: Place) -> CommandMove {
    let position = match (to.first, to.last) {
        (true, _) => Some(CommandPosition::First),
        (_, true) => Some(CommandPosition::Last),
        (false, false) => None,
    };
    CommandMove { priority: to.priority, position, before: to.before, after: to.after }
}

fn parse_duration(text: &str) -> Result<Duration, Failure> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor_ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let ms = digits.parse::<u64>().ok().filter(|_| factor_ms > 0).and_then(|n| n.checked_mul(factor_ms));
    ms.map(Duration::from_millis)
        .ok_or_else(|| Failure::usage(format_args!("{text:?} is no time such as 30s, 500ms, 2m or 1h")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, ms) in
            [("30s", 30_000), ("30", 30_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_may_lack_the_first_slash() {
        assert_eq!(parse_path("3/0/9").unwrap(), parse_path("/3/0/9").unwrap());
        assert!(parse_path("/3/x").is_err());
        assert!(parse_path("/3/0/9/1/2").is_err());
    }
}
