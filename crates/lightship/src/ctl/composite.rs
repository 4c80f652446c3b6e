//! Operations on several paths at once.

use super::{Session, attribute, events, input, options, parse_path, value};
use crate::cli::CompositeCommand;
use crate::failure::Failure;
use lightship_api::client::DownlinkOptions;
use lightship_api::{CompositeObserveBody, CompositeReadBody, CompositeWriteBody, Content, Node};

impl Session<'_> {
    pub(super) fn composite(&self, command: CompositeCommand) -> Result<(), Failure> {
        match command {
            CompositeCommand::Read { endpoint, paths, fallback, delivery } => {
                let body = CompositeReadBody { paths: texts(&paths)? };
                let options = DownlinkOptions { fallback, ..options(&delivery)? };
                self.answer(&endpoint, self.client.read_composite(&endpoint, &body, &options))
            }
            CompositeCommand::Write { endpoint, assignments, removed, data_type, nodes, delivery } => {
                let mut nodes = self.nodes(&endpoint, &assignments, data_type.as_deref(), &nodes)?;
                for path in texts(&removed)? {
                    let nothing = Node::new(Content::Value(serde_json::Value::Null));
                    nodes.push(Node { path: Some(path), ..nothing });
                }
                let body = CompositeWriteBody { nodes };
                self.answer(&endpoint, self.client.write_composite(&endpoint, &body, &options(&delivery)?))
            }
            CompositeCommand::Observe { endpoint, name, paths, attributes, fallback, follow, delivery } => {
                let attributes = attribute::parse(&attributes)?;
                let body = CompositeObserveBody { paths: texts(&paths)?, attributes };
                let options = DownlinkOptions { fallback, ..options(&delivery)? };
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
            let node = value::given(&input::json(json)?).map_err(value::Mistake::into_failure)?;
            if node.path.is_none() {
                return Err(Failure::usage(format_args!("--node {json}: its path is missing")));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }
}

fn texts(paths: &[String]) -> Result<Vec<String>, Failure> {
    paths.iter().map(|path| Ok(parse_path(path)?.to_string())).collect()
}
