//! Tables that come in (CSV, RFC 4180): a comma between fields, quotes around those with commas, quotes or line breaks in them.

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line where it begins, from 1.
    pub(crate) line: u64,
    pub(crate) fields: Vec<String>,
}

/// Splits a table into its rows; empty lines are none.
///
/// # Errors
/// The line where a quote begins that does not end, or stands where none may.
pub(crate) fn rows(text: &str) -> Result<Vec<Row>, u64> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = Vec::new();
    let mut line = 1;
    while !rest.is_empty() {
        let mut row = Row { line, fields: Vec::new() };
        loop {
            let (field, behind) = field(rest).ok_or(line)?;
            let taken = rest.get(..rest.len() - behind.len()).unwrap_or_default();
            line += u64::try_from(taken.matches('\n').count()).unwrap_or(0);
            row.fields.push(field);
            match behind.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = behind;
                    break;
                }
            }
        }
        if let Some(more) = rest.strip_prefix('\n') {
            rest = more;
            line += 1;
        }
        if row.fields.iter().any(|field| !field.is_empty()) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The first field, and what stands behind it: a comma, the end of a line, or nothing. `None` where its quotes are wrong.
fn field(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (field, behind) = text.split_at(text.find([',', '\n']).unwrap_or(text.len()));
        return (!field.contains('"')).then(|| (field.trim().to_owned(), behind));
    };
    let mut out = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        out.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => {
                let end = behind.strip_prefix('\r').filter(|end| end.is_empty() || end.starts_with('\n'));
                let behind = end.unwrap_or(behind);
                return (behind.is_empty() || behind.starts_with([',', '\n'])).then_some((out, behind));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u64, Vec<String>)>, u64> {
        Ok(rows(text)?.into_iter().map(|row| (row.line, row.fields)).collect())
    }

    fn row(line: u64, fields: &[&str]) -> (u64, Vec<String>) {
        (line, fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn rows_are_split_as_the_standard_says() {
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(
            read("\u{feff}a,b\r\n1, 2 \n\n,x,\r\n"),
            Ok(vec![row(1, &["a", "b"]), row(2, &["1", "2"]), row(4, &["", "x", ""])])
        );
        assert_eq!(
            read("\"a,\"\"b\"\"\nc\",d\r\nx,\"\""),
            Ok(vec![row(1, &["a,\"b\"\nc", "d"]), row(3, &["x", ""])])
        );
        assert_eq!(read("a\r"), Ok(vec![row(1, &["a"])]));
        assert_eq!(read("a\r,b"), Ok(vec![row(1, &["a", "b"])]));
        assert_eq!(read("\"a\"\r"), Ok(vec![row(1, &["a"])]));
    }

    #[test]
    fn wrong_quotes_are_told_with_their_line() {
        for (text, line) in [
            ("a\nb,\"c", 2),
            ("a\n\nb\"c\n", 3),
            ("\"a\"b", 1),
            ("\"", 1),
            ("\"a\nb\"x", 1),
            ("a\r\"", 1),
            ("\"a\"\rb", 1),
        ] {
            assert_eq!(read(text), Err(line), "{text:?}");
        }
    }
}
