//! Notification attributes as people type them.

use crate::failure::Failure;
use lightship_api::AttributesBody;
use lightship_lwm2m::attributes::{AttributeChange, AttributeName};
use std::collections::BTreeMap;

/// Reads `NAME=VALUE` and `NAME=null`.
pub(super) fn parse(texts: &[String]) -> Result<AttributesBody, Failure> {
    // As in the query of a Write-Attributes: a name alone takes the attribute away.
    let parts = texts.iter().map(|text| text.strip_suffix("=null").unwrap_or(text));
    AttributeChange::parse(parts).map_err(|error| {
        let names: Vec<&str> = AttributeName::ALL.iter().map(|name| name.as_str()).collect();
        Failure::usage(format_args!(
            "{}: {error} (expected NAME=VALUE or NAME=null, names: {})",
            texts.join(" "),
            names.join(" ")
        ))
    })?;
    let mut attributes = BTreeMap::new();
    for text in texts {
        let wrong = || Failure::usage(format_args!("{text:?} is not NAME=NUMBER or NAME=null"));
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let number = match value {
            "null" => None,
            number => Some(serde_json::from_str(number).map_err(|_| wrong())?),
        };
        attributes.insert(name.to_owned(), number);
    }
    Ok(AttributesBody { attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_numbers_or_null() {
        let every = "pmin=5 pmax=60 gt=null lt=-1.5 st=0.5 epmin=1 epmax=2 edge=1 con=0 hqmax=3";
        let texts: Vec<String> = every.split(' ').map(str::to_owned).collect();
        assert_eq!(
            serde_json::to_value(parse(&texts).unwrap()).unwrap(),
            serde_json::json!({"pmin": 5, "pmax": 60, "gt": null, "lt": -1.5, "st": 0.5,
                "epmin": 1, "epmax": 2, "edge": 1, "con": 0, "hqmax": 3})
        );
        for wrong in ["pmin", "=5", "pmin=five", "pmin=[1]", "pmin=-1", "warm=1", "edge=2", "pmin="] {
            assert!(parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(parse(&["pmin=1".to_owned(), "pmin=2".to_owned()]).is_err());
    }
}
