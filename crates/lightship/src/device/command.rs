//! The lines that a device reads on standard input.

use lightship_lwm2m::Path;
use lightship_lwm2m::attributes::AttributeChange;
use std::time::Duration;

/// One line, understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Set(Path, String),
    Create(Path),
    Delete(Path),
    /// Of all servers, or of the one with that Short Server ID.
    Update(Option<u16>),
    /// With all servers, or with the one with that Short Server ID; anew if there is a registration.
    Register(Option<u16>),
    Deregister,
    /// What these paths hold, in a message that is repeated until it is answered.
    Send(Vec<Path>),
    /// The same in a message that is sent once.
    SendOnce(Vec<Path>),
    /// Remember what these paths hold now.
    Record(Vec<Path>),
    /// What was remembered, with its times.
    SendRecorded,
    Offline,
    Online,
    Reconnect,
    /// New sockets, and the engine is not told.
    Rebind,
    Sockets,
    /// Attach what is given, then show what is in force.
    Attributes(Path, AttributeChange),
    Show(Option<Path>),
    Advance(Duration),
    /// Ask the Bootstrap-Server for a configuration.
    Bootstrap,
    Quit,
}

/// Reads a line; `None` for a blank one.
///
/// # Errors
/// What was expected instead.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    Ok(Some(match word {
        "" => return Ok(None),
        "set" => {
            let (path, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let path = parse_path(path)?;
            if path.len() < 3 {
                return Err(format!("{path} is no resource"));
            }
            Command::Set(path, unquoted(value.trim())?)
        }
        "create" => Command::Create(parse_path(rest)?),
        "delete" => Command::Delete(parse_path(rest)?),
        "update" => Command::Update(parse_ssid(rest)?),
        "register" => Command::Register(parse_ssid(rest)?),
        "show" if rest.is_empty() => Command::Show(None),
        "show" => Command::Show(Some(parse_path(rest)?)),
        "advance" => {
            let span = rest.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            Command::Advance(span.ok_or_else(|| format!("{rest:?} is no number of seconds"))?)
        }
        "deregister" => alone(rest, Command::Deregister)?,
        "offline" => alone(rest, Command::Offline)?,
        "online" => alone(rest, Command::Online)?,
        "reconnect" => alone(rest, Command::Reconnect)?,
        "rebind" => alone(rest, Command::Rebind)?,
        "sockets" => alone(rest, Command::Sockets)?,
        "quit" => alone(rest, Command::Quit)?,
        "send" if rest == "recorded" => Command::SendRecorded,
        "send" => match rest.strip_prefix("once ") {
            Some(paths) => Command::SendOnce(parse_paths(paths)?),
            None => Command::Send(parse_paths(rest)?),
        },
        "record" => Command::Record(parse_paths(rest)?),
        "bootstrap" => alone(rest, Command::Bootstrap)?,
        "attributes" => {
            let mut words = rest.split_whitespace();
            let path = parse_path(words.next().unwrap_or_default())?;
            // As in the query of a Write-Attributes: a name alone takes the attribute away.
            let parts = words.map(|word| word.strip_suffix("=null").unwrap_or(word));
            let change = AttributeChange::parse(parts).map_err(|error| error.to_string())?;
            Command::Attributes(path, change)
        }
        _ => return Err(format!("unknown command {word:?}")),
    }))
}

fn alone(rest: &str, command: Command) -> Result<Command, String> {
    if rest.is_empty() { Ok(command) } else { Err(format!("unexpected {rest:?}")) }
}

fn parse_ssid(text: &str) -> Result<Option<u16>, String> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is no Short Server ID")),
    }
}

fn parse_paths(text: &str) -> Result<Vec<Path>, String> {
    let paths: Vec<Path> = text.split_whitespace().map(parse_path).collect::<Result<_, _>>()?;
    if paths.is_empty() { Err("expected one path or more".to_owned()) } else { Ok(paths) }
}

fn parse_path(text: &str) -> Result<Path, String> {
    let path = text.starts_with('/').then(|| text.parse().ok()).flatten();
    path.ok_or_else(|| format!("{text:?} is no path such as /3303/0/5700"))
}

/// A value in double quotes keeps its blanks and may hold `\n`, `\"` and the like, as in JSON.
fn unquoted(text: &str) -> Result<String, String> {
    if text.len() >= 2 && text.starts_with('"') {
        return serde_json::from_str(text).map_err(|error| format!("{text}: {error}"));
    }
    Ok(text.to_owned())
}

/// A value for an answer line: quoted when it would not survive otherwise.
pub(crate) fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"') {
        serde_json::Value::from(text).to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn lines_are_understood() {
        let cases = [
            ("set /3303/0/5700 21.5", Command::Set(path("/3303/0/5700"), "21.5".to_owned())),
            ("  set /3442/0/110   two words ", Command::Set(path("/3442/0/110"), "two words".to_owned())),
            (r#"set /3442/0/110 " a\n""#, Command::Set(path("/3442/0/110"), " a\n".to_owned())),
            ("set /3442/0/1110/3 x", Command::Set(path("/3442/0/1110/3"), "x".to_owned())),
            ("set /3442/0/110", Command::Set(path("/3442/0/110"), String::new())),
            ("create /3303/1", Command::Create(path("/3303/1"))),
            ("create /3303", Command::Create(path("/3303"))),
            ("delete /3303/1", Command::Delete(path("/3303/1"))),
            ("update", Command::Update(None)),
            ("update 2", Command::Update(Some(2))),
            ("register", Command::Register(None)),
            ("register 1", Command::Register(Some(1))),
            ("show", Command::Show(None)),
            ("show /3/0", Command::Show(Some(path("/3/0")))),
            ("advance 1.5", Command::Advance(Duration::from_millis(1500))),
            ("send /3303/0/5700  /3/0/9", Command::Send(vec![path("/3303/0/5700"), path("/3/0/9")])),
            ("send once /3/0/9", Command::SendOnce(vec![path("/3/0/9")])),
            ("record /3/0/9 /3303", Command::Record(vec![path("/3/0/9"), path("/3303")])),
            ("send recorded", Command::SendRecorded),
            ("offline", Command::Offline),
            ("online", Command::Online),
            ("reconnect", Command::Reconnect),
            ("rebind", Command::Rebind),
            ("sockets", Command::Sockets),
            ("deregister", Command::Deregister),
            ("bootstrap", Command::Bootstrap),
            ("quit", Command::Quit),
        ];
        for (line, command) in cases {
            assert_eq!(parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(parse("   "), Ok(None));
    }

    #[test]
    fn mistakes_are_named() {
        for line in [
            "fly",
            "set",
            "set 3303 1",
            "set /3303/0 1",
            "set /3442/0/110 \"open",
            "create",
            "delete x",
            "update me",
            "send",
            "send 3303",
            "send once",
            "send recorded /3/0/9",
            "record",
            "show me",
            "advance",
            "advance -1",
            "attributes",
            "attributes /3303/0/5700 warm=1",
            "attributes /3303/0/5700 pmin=x",
            "quit now",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn quoting_is_undone_by_reading() {
        for text in ["plain", "two words", "", "a\nb", "say \"x\""] {
            assert_eq!(unquoted(&quoted(text)), Ok(text.to_owned()));
        }
    }
}
