//! Requests of servers: from the peer through the objects and back.

use lightship_coap::OptionNumber;

use super::*;
use crate::observe::Part;
use crate::uri::segments;

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    pub(super) fn serve(&mut self, now: Instant, from: AccountId, incoming: &PeerRequest<'_>) {
        if matches!(incoming.message.code(), Code::FETCH | Code::IPATCH) {
            return self.serve_composite(now, from, incoming);
        }
        if incoming.message.observe() == Some(1) && incoming.message.code() == Code::GET {
            self.cancel(from, incoming.ticket);
        }
        let Some(link) = self.links.get(from.index()) else { return };
        let version = link.registration.version();
        let payload = link.peer.payload(incoming.body);
        let mut world = world(self.config.root(), &mut self.objects, &mut self.accounts, from.0, version);
        let mut query = None;
        let mut asked = None;
        let mut accept = incoming.message.accept();
        let outcome = Request::new(incoming.message, payload, version, world.root)
            .map_err(Deny::from)
            .and_then(|mut request| {
                asked = Some((request.operation, request.path));
                request.locate(&world)?;
                if request.operation == Operation::WriteAttributes {
                    return self.attached.write(&world, &request, from.0);
                }
                if request.operation == Operation::Read && incoming.message.observe() == Some(0) {
                    query = crate::attributes::observe_query(&world, &request)?;
                    let attributes = query.unwrap_or_else(|| self.attached.resolve(from.0, request.path));
                    if attributes.hqmax.is_some_and(|most| most > 0) {
                        // Values of the past are told with their time, and a format stays what it was in the first answer.
                        request.accept = request.accept.or(Some(ContentFormat::SENML_CBOR));
                        accept = request.accept;
                    }
                }
                let shown = self.attached.shown(from.0);
                let outcome = request.perform(&mut world, &shown, &mut self.body);
                asked = Some((request.operation, request.path));
                outcome
            });
        let trigger = world.server.trigger;
        let observes = incoming.message.observe() == Some(0);
        match (outcome, asked) {
            (Err(Deny::Later), Some((operation, path))) => {
                let resume = resume(operation, accept, observes.then_some(query));
                self.ask(now, from, incoming.ticket, path, resume);
            }
            (Ok(success), Some((operation, path))) => {
                let observe = if operation == Operation::Read && observes {
                    self.observe(now, from, incoming.ticket, path, success.format, query)
                } else {
                    None
                };
                self.respond(now, from, incoming.ticket, success, observe);
                self.report(from, operation, success.location.unwrap_or(path));
            }
            (Err(Deny::With(code)), _) => {
                self.respond(now, from, incoming.ticket, Success::plain(code), None)
            }
            (_, None) => {
                self.respond(now, from, incoming.ticket, Success::plain(Code::INTERNAL_SERVER_ERROR), None);
            }
        }
        self.pull(now, trigger);
    }

    /// What follows from a successful request besides its response.
    fn report(&mut self, account: AccountId, operation: Operation, path: Path) {
        let event = match operation {
            Operation::Read => {
                self.touched |= self.objects.returned(path);
                return;
            }
            Operation::Discover | Operation::WriteAttributes => return,
            Operation::Replace | Operation::PartialUpdate => Event::Written { account, path },
            Operation::Execute => Event::Executed { account, path },
            Operation::Create => Event::Created { account, path },
            Operation::Delete => Event::Deleted { account, path },
        };
        match operation {
            Operation::Delete => self.attached.forget(path),
            Operation::Replace => {
                // Attributes go with what a Replace left out.
                let version = self.version(account);
                let world =
                    world(self.config.root(), &mut self.objects, &mut self.accounts, account.0, version);
                self.attached.prune(&world, path);
            }
            Operation::PartialUpdate
            | Operation::Create
            | Operation::Execute
            | Operation::Read
            | Operation::Discover
            | Operation::WriteAttributes => {}
        }
        self.touched = true;
        self.events.push(event);
    }

    /// Does what a server asked of the client itself by executing a resource of `/1`.
    fn pull(&mut self, now: Instant, trigger: Option<(usize, Trigger)>) {
        let Some((index, trigger)) = trigger else { return };
        let Ok(index) = u8::try_from(index) else { return };
        let id = AccountId(index);
        match trigger {
            #[cfg(feature = "bootstrap")]
            Trigger::Bootstrap => self.bootstrap_soon(),
            Trigger::Update => self.with_link(id, |link| link.registration.want_update()),
            Trigger::Disable => {
                let seconds =
                    self.account(id).and_then(|account| account.disable_timeout_s).unwrap_or(86_400);
                self.leave(now, id, Some(Duration::from_secs(seconds.into())));
            }
        }
    }

    /// Sends what `success` says, with content from the body buffer.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        to: AccountId,
        ticket: Ticket,
        success: Success,
        observe: Option<u32>,
    ) {
        let Some(link) = self.links.get_mut(to.index()) else { return };
        let content = self.body.get(..success.len).unwrap_or_default();
        let options = |options: &mut OptionWriter<'_>| {
            if let Some(sequence) = observe {
                options.observe(sequence);
            }
            if success.location.is_some() {
                for segment in segments(self.config.root()) {
                    options.text(OptionNumber::LOCATION_PATH, format_args!("{segment}"));
                }
            }
            for number in success.location.iter().flat_map(|path| path.numbers()) {
                options.text(OptionNumber::LOCATION_PATH, format_args!("{number}"));
            }
            if let Some(format) = success.format {
                options.content_format(format);
            }
        };
        let sent = link.peer.respond(now, &self.config.coap, ticket, success.code, options, content);
        if sent == Err(SendError::TooLarge) {
            let failure = Code::INTERNAL_SERVER_ERROR;
            let _ = link.peer.respond(now, &self.config.coap, ticket, failure, |_| {}, &[]);
        }
    }

    /// Keeps a request whose answer comes later; 5.03 when there are too many.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        account: AccountId,
        ticket: Ticket,
        path: Path,
        resume: Resume,
    ) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let deadline = now + self.config.answer_within;
        let place = self.asks.iter_mut().zip(0..).find(|(slot, _)| slot.is_none());
        if let Some((slot, index)) = place
            && self.events.push(Event::Asked { ask: AskId { slot: index, generation }, account, path })
        {
            *slot = Some(Ask { generation, account: account.0, ticket, path, deadline, resume });
        } else {
            self.respond(now, account, ticket, Success::plain(Code::SERVICE_UNAVAILABLE), None);
        }
    }

    /// Reads once more what an object could not give before.
    pub(super) fn read_again(
        &mut self,
        account: AccountId,
        path: Path,
        accept: Option<ContentFormat>,
    ) -> Result<Success, Deny> {
        let version = self.version(account);
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, account.0, version);
        let (format, len) = dispatch::read(&world, path, accept, version, &mut self.body)?;
        Ok(Success { code: Code::CONTENT, format: Some(format), len, location: None })
    }

    /// Begins an observation whose first answer is in the body buffer; returns its first sequence number.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        account: AccountId,
        ticket: Ticket,
        path: Path,
        format: Option<ContentFormat>,
        query: Option<Attributes>,
    ) -> Option<u32> {
        let mut told = Snapshot::new();
        let version = self.version(account);
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, account.0, version);
        walk(&world, path, &mut told).ok()?;
        let same = |slot: &Option<Observation>| {
            slot.as_ref().is_some_and(|present| {
                present.runs()
                    && present.account == account.0
                    && present.part == Part::Whole
                    && present.path == path
            })
        };
        // A token names one observation.
        for slot in &mut self.observations {
            let taken =
                |present: &mut Observation| present.account == account.0 && present.token == ticket.token();
            slot.take_if(taken);
        }
        // One observation per path and server: a new one replaces it.
        let is_free = |slot: &Option<Observation>| slot.is_none_or(|present| !present.runs());
        let place = self.observations.iter().position(same);
        let place = place.or_else(|| self.observations.iter().position(is_free))?;
        let mut observation =
            Observation::new(now, account.0, path, ticket.token(), ticket.cache_key(), format?, query, told);
        self.generation = self.generation.wrapping_add(1);
        observation.generation = self.generation;
        self.inherit(&mut observation);
        let sequence = observation.sequence.next();
        *self.observations.get_mut(place)? = Some(observation);
        Some(sequence)
    }

    /// Ends the observation of a GET with Observe 1: the one with the same token.
    pub(super) fn cancel(&mut self, account: AccountId, ticket: Ticket) {
        let ours = |present: &Observation| present.account == account.0 && present.token == ticket.token();
        if let Some(link) = self.links.get_mut(account.index()) {
            for ended in self.observations.iter().flatten().filter(|present| ours(present)) {
                link.peer.withdraw(u32::from(ended.generation));
            }
        }
        self.end_where(ours, true);
    }

    /// Ends all observations of a server.
    pub(super) fn end_observations(&mut self, account: AccountId) {
        self.end_where(|present| present.account == account.0, false);
    }
}

/// What happens when the answer comes that an object postponed.
fn resume(
    operation: Operation,
    accept: Option<ContentFormat>,
    observe: Option<Option<Attributes>>,
) -> Resume {
    match operation {
        Operation::Read | Operation::Discover => Resume::Read { accept, observe },
        Operation::Create => Resume::Finish(Code::CREATED),
        Operation::Delete => Resume::Finish(Code::DELETED),
        Operation::Replace | Operation::PartialUpdate | Operation::WriteAttributes | Operation::Execute => {
            Resume::Finish(Code::CHANGED)
        }
    }
}

/// All objects for the time of one call, as a server of that LwM2M version sees them.
pub(super) fn world<'a>(
    root: &'a str,
    objects: &'a mut dyn Objects,
    accounts: &'a mut [Option<Account>],
    asking: u8,
    version: Version,
) -> World<'a> {
    objects.serve_as(version);
    World { root, objects, server: ServerObject { accounts, draft: None, trigger: None, version }, asking }
}
