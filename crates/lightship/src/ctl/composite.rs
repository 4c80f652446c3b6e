//! Operations on several paths at once.

use super::{Session, events, options, parse_path, value};
use crate::cli::CompositeCommand;
use crate::failure::Failure;
use lightship_api::{CompositeReadBody, CompositeWriteBody, Node};

impl Session<'_> {
    pub(super) fn composite(&self, command: CompositeCommand) -> Result<(), Failure> {
        match command {
            CompositeCommand::Read { endpoint, paths, delivery } => {
                let body = body(&paths)?;
                self.answer(&endpoint, self.client.read_composite(&endpoint, &body, &options(&delivery)?))
            }
            CompositeCommand::Write { endpoint, assignments, data_type, nodes, delivery } => {
                let nodes = self.nodes(&endpoint, &assignments, data_type.as_deref(), &nodes)?;
                let body = CompositeWriteBody { nodes };
                self.answer(&endpoint, self.client.write_composite(&endpoint, &body, &options(&delivery)?))
            }
            CompositeCommand::Observe { endpoint, name, paths, follow, delivery } => {
                let (body, options) = (body(&paths)?, options(&delivery)?);
                self.answer(&endpoint, self.client.observe_composite(&endpoint, &name, &body, &options))?;
                if follow { self.follow(&endpoint, events::Subject::Name(name)) } else { Ok(()) }
            }
            CompositeCommand::Unobserve { endpoint, name, delivery } => {
                let result = self.client.cancel_composite(&endpoint, &name, &options(&delivery)?);
                self.answer_if_any(&endpoint, result)
            }
        }
    }

    fn nodes(
        &self,
        endpoint: &str,
        assignments: &[String],
        data_type: Option<&str>,
        given: &[String],
    ) -> Result<Vec<Node>, Failure> {
        let mut nodes = Vec::new();
        for text in assignments {
            let (path, value) = text
                .split_once('=')
                .ok_or_else(|| Failure::usage(format_args!("{text:?} is not PATH=VALUE")))?;
            let path = parse_path(path)?;
            let node = value::to_write_at(&self.definitions, endpoint, path, value, data_type);
            nodes.push(node.map_err(value::Mistake::into_failure)?);
        }
        for json in given {
            let node = value::given(json).map_err(value::Mistake::into_failure)?;
            if node.path.is_none() {
                return Err(Failure::usage(format_args!("--node {json}: its path is missing")));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }
}

fn body(paths: &[String]) -> Result<CompositeReadBody, Failure> {
    let paths = paths.iter().map(|path| Ok(parse_path(path)?.to_string()));
    Ok(CompositeReadBody { paths: paths.collect::<Result<_, Failure>>()? })
}
