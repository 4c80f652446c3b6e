//! What the server asks of devices, and what they answer. Nothing is stored: a Write is taken and forgotten.

use lightship_coap::{Block, BlockSize, Code, ContentFormat, Encoder, Message, MessageId, Token, Type};
use lightship_lwm2m::downlink::Operation as Asked;
use lightship_lwm2m::format::paths;
use lightship_lwm2m::{Format, Path, Version};

use super::{Engine, Operation, index};
use crate::load::content;
use crate::load::device::{Life, OBSERVATIONS_MAX, Observation};
use crate::load::ledger::Entry;

/// What is answered.
struct Reply {
    code: Code,
    format: Option<ContentFormat>,
    observe: Option<u32>,
    block1: Option<Block>,
    /// The whole body; it is cut into blocks when it is long.
    body: Vec<u8>,
}

impl Reply {
    fn of(code: Code) -> Self {
        Self { code, format: None, observe: None, block1: None, body: Vec::new() }
    }
}

/// What a device does after it has answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Update,
    Register,
}

impl Engine {
    /// Takes a request of the server.
    pub(super) fn handle_request(&mut self, device: u32, message: &Message<'_>) {
        let Some(state) = self.devices.get(index(device)) else { return };
        let is_confirmable = message.ty() == Type::Con;
        if is_confirmable
            && let Some(answered) = &state.answered
            && answered.0 == message.message_id()
        {
            let bytes = answered.1.clone();
            self.stats.downlink.repeated += 1;
            self.send(device, &bytes);
            return;
        }
        let (reply, then) = self.reply(device, message);
        let Some(state) = self.devices.get_mut(index(device)) else { return };
        let (ty, id) =
            if is_confirmable { (Type::Ack, message.message_id()) } else { (Type::Non, state.message_id()) };
        let mut buffer = [0; ANSWER_LEN_MAX];
        let Some(len) = write(&reply, message, (ty, id), &mut buffer) else { return };
        let bytes = buffer.get(..len).unwrap_or_default();
        if is_confirmable {
            state.answered = Some(Box::new((id, bytes.into())));
        }
        self.send(device, bytes);
        let is_idle = self.devices.get(index(device)).is_some_and(crate::load::device::Device::is_idle);
        match then {
            Then::Update if is_idle => self.begin(device, Operation::Update, self.now),
            Then::Register if is_idle => self.begin(device, Operation::Register, self.now),
            Then::Nothing | Then::Update | Then::Register => {}
        }
    }

    fn reply(&mut self, device: u32, message: &Message<'_>) -> (Reply, Then) {
        let Ok(path) = Path::from_segments(message.uri_path().map(str::as_bytes)) else {
            self.stats.downlink.refused += 1;
            return (Reply::of(Code::NOT_FOUND), Then::Nothing);
        };
        let asked = Asked::of(message, path, message.payload().len());
        let exists = match asked {
            // Anything may be written and executed where there is an instance.
            Some(Asked::Execute | Asked::Replace | Asked::PartialUpdate | Asked::WriteAttributes) => {
                content::holds(&self.settings, path)
            }
            _ => content::exists(&self.settings, path),
        };
        let Some(asked) = asked.filter(|_| exists) else {
            self.stats.downlink.refused += 1;
            let code = if asked.is_some() { Code::NOT_FOUND } else { Code::METHOD_NOT_ALLOWED };
            return (Reply::of(code), Then::Nothing);
        };
        *self.counter(asked) += 1;
        match asked {
            Asked::Read | Asked::CancelObservation | Asked::Observe => {
                (self.read(device, message, vec![path], false), Then::Nothing)
            }
            Asked::ReadComposite | Asked::CancelObservationComposite | Asked::ObserveComposite => {
                let format = message.content_format().and_then(|format| Format::from_number(format.0));
                let wanted =
                    format.map(|format| paths::decode(format, message.payload()).collect::<Result<_, _>>());
                let Some(Ok(wanted)) = wanted else { return (Reply::of(Code::BAD_REQUEST), Then::Nothing) };
                (self.read(device, message, wanted, true), Then::Nothing)
            }
            Asked::Discover => (self.discover(path), Then::Nothing),
            Asked::Execute => (self.take(device, message, (path, "execute")), then(path)),
            Asked::Replace | Asked::PartialUpdate | Asked::WriteComposite => {
                (self.take(device, message, (path, "write")), Then::Nothing)
            }
            Asked::WriteAttributes => (Reply::of(Code::CHANGED), Then::Nothing),
            Asked::Create | Asked::Delete | _ => (Reply::of(Code::METHOD_NOT_ALLOWED), Then::Nothing),
        }
    }

    /// Where that operation is counted.
    fn counter(&mut self, asked: Asked) -> &mut u64 {
        let counts = &mut self.stats.downlink;
        match asked {
            Asked::Read | Asked::ReadComposite => &mut counts.read,
            Asked::Observe | Asked::ObserveComposite => &mut counts.observe,
            Asked::CancelObservation | Asked::CancelObservationComposite => &mut counts.cancel,
            Asked::Discover => &mut counts.discover,
            Asked::Execute => &mut counts.execute,
            Asked::Replace | Asked::PartialUpdate | Asked::WriteAttributes | Asked::WriteComposite => {
                &mut counts.write
            }
            Asked::Create | Asked::Delete | _ => &mut counts.refused,
        }
    }

    /// A Read, and whatever else begins or ends like one.
    fn read(&mut self, device: u32, message: &Message<'_>, wanted: Vec<Path>, is_composite: bool) -> Reply {
        let base = if is_composite { Path::ROOT } else { wanted.first().copied().unwrap_or(Path::ROOT) };
        let format = match message.accept() {
            Some(format) => Format::from_number(format.0),
            None if is_composite => Some(Format::SenmlCbor),
            None if self.settings.version == Version::V1_2 => Some(Format::Lwm2mCbor),
            None => Some(Format::Tlv),
        };
        let Some(format) = format else { return Reply::of(Code::NOT_ACCEPTABLE) };
        let name = self.name(device);
        let mut body = vec![0; BODY_LEN_MAX];
        let what = (name.as_str(), u64::from(self.number(device) % 100));
        let Some(len) = content::encode(&self.settings, what, (base, &wanted), format, &mut body) else {
            return Reply::of(Code::NOT_ACCEPTABLE);
        };
        body.truncate(len);
        let mut reply =
            Reply { format: Some(ContentFormat(format.number())), body, ..Reply::of(Code::CONTENT) };
        let Some(state) = self.devices.get_mut(index(device)) else { return reply };
        if message.observe().is_some() {
            state.observations.retain(|known| known.token != message.token() && *known.paths != *wanted);
        }
        if message.observe() == Some(0)
            && state.life != Life::Outside
            && state.observations.len() < OBSERVATIONS_MAX
        {
            let token: Token = message.token();
            state.observations.push(Observation { token, paths: wanted.into(), is_composite, format });
            reply.observe = Some(state.next_sequence());
            if !std::mem::replace(&mut state.is_listed, true) {
                self.observed.push(device);
            }
        }
        reply
    }

    fn discover(&self, path: Path) -> Reply {
        let mut text = String::new();
        let mut last = Path::ROOT;
        content::visit(&self.settings, "", 0, &[path], |resource, _| {
            // Every node on the way to the resource that was not named yet.
            let mut node = Path::ROOT;
            for number in resource.numbers().take(3) {
                let Some(child) = node.child(number) else { return };
                node = child;
                if path.contains(node) && !node.contains(last) {
                    let comma = if text.is_empty() { "" } else { "," };
                    text.push_str(&format!("{comma}<{node}>"));
                }
            }
            last = resource;
        });
        Reply { format: Some(ContentFormat::LINK), body: text.into_bytes(), ..Reply::of(Code::CONTENT) }
    }

    /// A Write or an Execute: taken, told to the ledger, forgotten. Of a body in blocks only the last is told.
    fn take(&mut self, device: u32, message: &Message<'_>, (path, operation): (Path, &'static str)) -> Reply {
        let block1 = message.block1().and_then(Result::ok);
        if let Some(block) = block1.filter(|block| block.more()) {
            return Reply { block1: Some(block), ..Reply::of(Code::CONTINUE) };
        }
        let name = self.name(device);
        if let Some(ledger) = &mut self.ledger {
            let what = Entry::Payload { path, payload: message.payload() };
            ledger.note(self.date, &name, (operation, "received"), &what);
        }
        Reply { block1, ..Reply::of(Code::CHANGED) }
    }
}

/// What follows an Execute: the Registration Update Trigger and Reboot are told by what they do.
fn then(path: Path) -> Then {
    let numbers: Vec<u16> = path.numbers().collect();
    match numbers[..] {
        [1, _, 8] => Then::Update,
        [3, 0, 4] => Then::Register,
        _ => Then::Nothing,
    }
}

/// Writes an answer, or that block of it that was asked for (RFC 7959 §2.3).
fn write(
    reply: &Reply,
    request: &Message<'_>,
    (ty, id): (Type, MessageId),
    buffer: &mut [u8],
) -> Option<usize> {
    let asked = request.block2().and_then(Result::ok);
    let size = asked.map_or(BlockSize::MAX, Block::size);
    let offset = asked.map_or(0, |block| block.offset());
    let is_cut = reply.body.len() > size.bytes() || asked.is_some_and(|block| block.num() > 0);
    let Some(rest) = reply.body.get(offset..) else {
        return Encoder::new(buffer, ty, Code::BAD_REQUEST, id, request.token()).finish().ok();
    };
    let part = rest.get(..size.bytes()).unwrap_or(rest);
    let mut message = Encoder::new(buffer, ty, reply.code, id, request.token());
    if let Some(sequence) = reply.observe {
        message.options().observe(sequence);
    }
    if let Some(format) = reply.format {
        message.options().content_format(format);
    }
    if let Some(block) = reply.block1 {
        message.options().block1(block);
    }
    if is_cut {
        let num = asked.map_or(0, |block| block.num());
        message.options().block2(Block::new(num, part.len() < rest.len(), size)?);
    }
    message.finish_with(part).ok()
}

/// Bytes of an answer: a block of 1024 and what stands before it.
const ANSWER_LEN_MAX: usize = 1152;
/// Bytes of all that a device can be asked for at once.
const BODY_LEN_MAX: usize = 64 * 1024;
