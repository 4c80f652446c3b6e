import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.link.LinkParseException;
import org.eclipse.leshan.core.link.lwm2m.DefaultLwM2mLinkParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.DefaultLwM2mAttributeParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mRoot;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.node.ObjectLink;
import org.eclipse.leshan.core.node.TimestampedLwM2mNode;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.node.codec.DefaultLwM2mDecoder;
import org.eclipse.leshan.core.node.codec.DefaultLwM2mEncoder;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.CancelCompositeObservationRequest;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkDeviceManagementRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveCompositeRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadCompositeRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.SendRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteCompositeRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.response.CreateResponse;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadCompositeResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.util.datatype.ULong;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.queue.PresenceListener;
import org.eclipse.leshan.server.queue.StaticClientAwakeTimeProvider;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.server.send.SendListener;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;
import org.eclipse.leshan.servers.security.InMemorySecurityStore;
import org.eclipse.leshan.servers.security.SecurityInfo;
import org.eclipse.leshan.core.peer.LwM2mIdentity;

/**
 * A server on Leshan's library: LeshanServer PORT [AWAKE_MS [FLAG…]]. Listens on loopback. The flags: `coaps`, `quiet` (nobody is told what happens), `follow` (a
 * notification may change the address), `key=PRIVATE`, `public=FILE` or `chain=FILE,…` with `trust=FILE,…`, all DER, and what
 * {@link Keys#configure} knows. Orders `credential` and `forget-credential` need no registration.
 * Standard input: one JSON request a line, {"op", "endpoint", "path", …}. Standard output: one JSON answer a line,
 * {"code", …}; what happens unasked is a line {"event", …}.
 */
public final class LeshanServer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long TIMEOUT_MS = 20_000;

    private final org.eclipse.leshan.server.LeshanServer server;
    private final StaticModel model;
    /** The composite observation that was begun last. */
    private CompositeObservation composite;

    private final InMemorySecurityStore credentials = new InMemorySecurityStore();

    private LeshanServer(int port, int awakeMs, List<String> flags) throws Exception {
        List<ObjectModel> models = Models.all();
        model = new StaticModel(models);
        Protocol protocol = flags.contains("coaps") ? Protocol.COAPS : Protocol.COAP;
        CaliforniumServerEndpointsProvider endpoints = new CaliforniumServerEndpointsProvider.Builder(
                new CoapServerProtocolProvider(), new CoapsServerProtocolProvider())
                .setConfiguration(configuration -> Keys.configure(configuration, flags))
                .addEndpoint(new InetSocketAddress("127.0.0.1", port), protocol)
                .build();
        LeshanServerBuilder builder = new LeshanServerBuilder()
                .setObjectModelProvider(new VersionedModelProvider(models))
                .setEndpointsProviders(endpoints)
                .setClientAwakeTimeProvider(new StaticClientAwakeTimeProvider(awakeMs))
                .setUpdateRegistrationOnNotification(flags.contains("follow"))
                .setEncoder(new DefaultLwM2mEncoder(true))
                .setDecoder(new DefaultLwM2mDecoder(true));
        if (protocol == Protocol.COAPS) {
            builder.setSecurityStore(credentials);
        }
        String key = Keys.flag(flags, "key");
        if (key != null) {
            builder.setPrivateKey(Keys.privateKey(key));
            String chain = Keys.flag(flags, "chain");
            if (chain != null) {
                builder.setCertificateChain(Keys.certificates(chain));
                builder.setTrustedCertificates(Keys.certificates(Keys.flag(flags, "trust")));
            } else {
                builder.setPublicKey(Keys.publicKey(Keys.flag(flags, "public")));
            }
        }
        server = builder.build();
        if (!flags.contains("quiet")) {
            Reporter reporter = new Reporter();
            server.getRegistrationService().addListener(reporter);
            server.getObservationService().addListener(reporter);
            server.getSendService().addListener(reporter);
            server.getPresenceService().addListener(reporter);
        }
        server.start();
    }

    public static void main(String[] arguments) throws Exception {
        LeshanServer peer = new LeshanServer(Integer.parseInt(arguments[0]),
                arguments.length > 1 ? Integer.parseInt(arguments[1]) : 93_000,
                List.of(arguments).subList(Math.min(2, arguments.length), arguments.length));
        event("ready");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                peer.serve(JSON.readTree(line), answer);
            } catch (Exception failure) {
                answer.put("error", failure.toString());
            }
            say(answer);
        }
        peer.server.destroy();
        System.exit(0);
    }

    private void serve(JsonNode request, ObjectNode answer) throws Exception {
        String endpoint = request.path("endpoint").asText();
        switch (request.path("op").asText()) {
            case "credential" -> {
                credentials.add(credential(endpoint, request));
                answer.put("done", true);
                return;
            }
            case "forget-credential" -> {
                credentials.remove(endpoint, true);
                answer.put("done", true);
                return;
            }
            default -> {
            }
        }
        Registration registration = server.getRegistrationService().getByEndpoint(endpoint);
        if (registration == null) {
            answer.put("error", "not registered");
            return;
        }
        if (request.path("op").asText().equals("registration")) {
            describe(registration, answer);
            return;
        }
        if (request.path("op").asText().equals("cancel-passive")) {
            answer.put("cancelled",
                    server.getObservationService().cancelObservations(registration, request.path("path").asText()));
            return;
        }
        if (request.path("op").asText().equals("cancel-composite-passive")) {
            answer.put("cancelled", server.getObservationService().cancelCompositeObservations(registration,
                    paths(request).toArray(String[]::new)));
            return;
        }
        LwM2mResponse response = server.send(registration, build(request, registration),
                request.path("timeout_ms").asLong(TIMEOUT_MS));
        if (response == null) {
            answer.put("error", "timeout");
            return;
        }
        answer.put("code", code(response));
        if (response.getErrorMessage() != null && !response.getErrorMessage().isEmpty()) {
            answer.put("message", response.getErrorMessage());
        }
        if (response instanceof CreateResponse created && created.getLocation() != null) {
            answer.put("location", created.getLocation());
        }
        if (response instanceof DiscoverResponse discovered && discovered.getObjectLinks() != null) {
            for (Link link : discovered.getObjectLinks()) {
                answer.withArray("links").add(link.toCoreLinkFormat());
            }
        }
        if (response instanceof ReadResponse read && read.getContent() != null) {
            flatten(request.path("path").asText(), read.getContent(), answer.withObject("/content"));
        }
        if (response instanceof ObserveCompositeResponse begun && begun.isSuccess()) {
            composite = begun.getObservation();
        }
        if (response instanceof ReadCompositeResponse read && read.getContent() != null) {
            flatten(read.getContent(), answer.withObject("/content"));
        }
    }

    private static SecurityInfo credential(String endpoint, JsonNode request) throws Exception {
        if (request.has("identity")) {
            return SecurityInfo.newPreSharedKeyInfo(endpoint, request.get("identity").asText(),
                    Keys.hex(request.get("key").asText()));
        }
        return request.has("public") ? SecurityInfo.newRawPublicKeyInfo(endpoint,
                Keys.publicKey(request.get("public").asText())) : SecurityInfo.newX509CertInfo(endpoint);
    }

    private static String code(LwM2mResponse response) {
        int code = response.getCode().getCode();
        return "%d.%02d".formatted(code / 100, code % 100);
    }

    private static void describe(Registration registration, ObjectNode answer) {
        answer.put("id", registration.getId());
        answer.put("lifetime", registration.getLifeTimeInSec());
        answer.put("version", registration.getLwM2mVersion().toString());
        answer.put("binding", registration.getBindingMode().toString());
        answer.put("queue", registration.usesQueueMode());
        answer.put("address", registration.getSocketAddress().toString());
        LwM2mIdentity identity = registration.getClientTransportData().getIdentity();
        answer.put("identity", identity.toString());
        registration.getAdditionalRegistrationAttributes()
                .forEach((name, value) -> answer.withObject("/attributes").put(name, value));
        for (Link link : registration.getSortedObjectLinks()) {
            answer.withArray("links").add(link.toCoreLinkFormat());
        }
    }

    private DownlinkDeviceManagementRequest<?> build(JsonNode request, Registration registration) throws Exception {
        String path = request.path("path").asText();
        String name = request.path("format").asText("");
        ContentFormat format = format(name);
        return switch (request.path("op").asText()) {
            case "read" -> new ReadRequest(format, path);
            case "read-composite" -> new ReadCompositeRequest(format, answerFormat(request, format), paths(request));
            case "write-composite" -> {
                Map<String, Object> values = new LinkedHashMap<>();
                request.path("values").fields().forEachRemaining(field -> {
                    LwM2mPath at = new LwM2mPath(field.getKey());
                    values.put(field.getKey(),
                            value(model.getResourceModel(at.getObjectId(), at.getResourceId()), field.getValue()));
                });
                yield new WriteCompositeRequest(format, values);
            }
            case "observe-composite" -> new ObserveCompositeRequest(format, answerFormat(request, format),
                    paths(request).stream().map(LwM2mPath::new).toList());
            case "cancel-composite" -> new CancelCompositeObservationRequest(composite);
            case "discover" -> new DiscoverRequest(path);
            case "observe" -> new ObserveRequest(format, path);
            case "cancel" -> new CancelObservationRequest(observation(registration, path));
            case "execute" -> new ExecuteRequest(path, request.path("arguments").asText(null));
            case "delete" -> new DeleteRequest(path);
            case "attributes" -> new WriteAttributesRequest(path, new LwM2mAttributeSet(
                    new DefaultLwM2mAttributeParser().parseUriQuery(request.path("query").asText())));
            case "create" -> {
                int object = new LwM2mPath(path).getObjectId();
                if (request.has("instances")) {
                    yield new CreateRequest(format, path, instances(object, request.get("instances")));
                }
                Collection<LwM2mResource> resources = resources(object, request);
                yield request.has("instance")
                        ? new CreateRequest(format, path,
                                new LwM2mObjectInstance(request.get("instance").asInt(), resources))
                        : new CreateRequest(format, path, resources);
            }
            case "write" -> new WriteRequest(
                    request.path("update").asBoolean() ? WriteRequest.Mode.UPDATE : WriteRequest.Mode.REPLACE, format,
                    path, node(new LwM2mPath(path), request));
            default -> throw new IllegalArgumentException("unknown op");
        };
    }

    /** By its name, or by its number: the numbers before 1.0 have no name. */
    private static ContentFormat format(String name) {
        if (name.isEmpty()) {
            return null;
        }
        return Character.isDigit(name.charAt(0)) ? ContentFormat.fromCode(name) : ContentFormat.fromName(name);
    }

    /** The format of the answer, when it is to be another than that of the request. */
    private static ContentFormat answerFormat(JsonNode request, ContentFormat format) {
        return request.has("answer") ? ContentFormat.fromName(request.get("answer").asText()) : format;
    }

    private LwM2mObjectInstance[] instances(int object, JsonNode json) {
        List<LwM2mObjectInstance> instances = new ArrayList<>();
        json.fields().forEachRemaining(field -> instances.add(
                new LwM2mObjectInstance(Integer.parseInt(field.getKey()), resources(object, field.getValue()))));
        return instances.toArray(LwM2mObjectInstance[]::new);
    }

    private static List<String> paths(JsonNode request) {
        return StreamSupport.stream(request.path("paths").spliterator(), false).map(JsonNode::asText).toList();
    }

    private SingleObservation observation(Registration registration, String path) {
        for (Observation observation : server.getObservationService().getObservations(registration)) {
            if (observation instanceof SingleObservation single && single.getPath().toString().equals(path)) {
                return single;
            }
        }
        throw new IllegalArgumentException("no such observation");
    }

    private LwM2mNode node(LwM2mPath path, JsonNode request) {
        if (path.isObjectInstance()) {
            return new LwM2mObjectInstance(path.getObjectInstanceId(), resources(path.getObjectId(), request));
        }
        if (path.isResourceInstance()) {
            ResourceModel resource = model.getResourceModel(path.getObjectId(), path.getResourceId());
            return LwM2mResourceInstance.newInstance(path.getResourceInstanceId(),
                    value(resource, request.get("value")), resource.type);
        }
        return resource(path.getObjectId(), path.getResourceId(), request.get("value"));
    }

    private Collection<LwM2mResource> resources(int object, JsonNode request) {
        List<LwM2mResource> resources = new ArrayList<>();
        request.path("resources").fields()
                .forEachRemaining(field -> resources.add(resource(object, Integer.parseInt(field.getKey()),
                        field.getValue())));
        return resources;
    }

    private LwM2mResource resource(int object, int id, JsonNode json) {
        ResourceModel resource = model.getResourceModel(object, id);
        if (!resource.multiple) {
            return LwM2mSingleResource.newResource(id, value(resource, json), resource.type);
        }
        Map<Integer, Object> values = new LinkedHashMap<>();
        json.fields().forEachRemaining(field -> values.put(Integer.parseInt(field.getKey()),
                value(resource, field.getValue())));
        return LwM2mMultipleResource.newResource(id, values, resource.type);
    }

    private static Object value(ResourceModel resource, JsonNode json) {
        String text = json.asText();
        return switch (resource.type) {
            case STRING -> text;
            case INTEGER -> Long.parseLong(text);
            case UNSIGNED_INTEGER -> ULong.valueOf(text);
            case FLOAT -> Double.parseDouble(text);
            case BOOLEAN -> Boolean.parseBoolean(text);
            case OPAQUE -> Base64.getDecoder().decode(text);
            case TIME -> new Date(Long.parseLong(text) * 1000);
            case CORELINK -> links(text);
            case OBJLNK -> {
                String[] ids = text.split(":");
                yield new ObjectLink(Integer.parseInt(ids[0]), Integer.parseInt(ids[1]));
            }
            default -> throw new IllegalArgumentException("no writer for " + resource.type);
        };
    }

    private static Link[] links(String text) {
        try {
            return new DefaultLwM2mLinkParser().parseCoreLinkFormat(text.getBytes(StandardCharsets.UTF_8));
        } catch (LinkParseException malformed) {
            throw new IllegalArgumentException(malformed);
        }
    }

    private static void flatten(Map<LwM2mPath, LwM2mNode> nodes, ObjectNode out) {
        nodes.forEach((path, node) -> {
            if (node != null) {
                flatten(path.toString(), node, out);
            }
        });
    }

    /** Every value under its full path, as text: base64 for opaque, seconds for time. */
    private static void flatten(String path, LwM2mNode node, ObjectNode out) {
        if (node instanceof LwM2mRoot root) {
            root.getObjects().forEach((id, object) -> flatten("/" + id, object, out));
        } else if (node instanceof LwM2mObject object) {
            object.getInstances().forEach((id, instance) -> flatten(path + "/" + id, instance, out));
        } else if (node instanceof LwM2mObjectInstance instance) {
            instance.getResources().forEach((id, resource) -> flatten(path + "/" + id, resource, out));
        } else if (node instanceof LwM2mResource resource && resource.isMultiInstances()) {
            resource.getInstances().forEach((id, inner) -> flatten(path + "/" + id, inner, out));
        } else if (node instanceof LwM2mResource resource) {
            out.put(path, text(resource.getValue()));
        } else if (node instanceof LwM2mResourceInstance inner) {
            out.put(path, text(inner.getValue()));
        }
    }

    /** The values of every moment that has a time. */
    private static void times(TimestampedLwM2mNodes nodes, ObjectNode line) {
        if (nodes == null) {
            return;
        }
        for (Instant time : nodes.getTimestamps()) {
            if (time != null) {
                ObjectNode moment = line.withArray("times").addObject().put("time", seconds(time));
                flatten(nodes.getNodesAt(time), moment.withObject("/content"));
            }
        }
    }

    private static Double seconds(Instant time) {
        return time == null ? null : time.getEpochSecond() + time.getNano() / 1e9;
    }

    private static String text(Object value) {
        if (value instanceof byte[] bytes) {
            return Base64.getEncoder().encodeToString(bytes);
        }
        if (value instanceof Date date) {
            return Long.toString(date.getTime() / 1000);
        }
        if (value instanceof ObjectLink link) {
            return link.getObjectId() + ":" + link.getObjectInstanceId();
        }
        if (value instanceof Link[] links) {
            StringBuilder list = new StringBuilder();
            for (Link link : links) {
                list.append(list.length() == 0 ? "" : ",").append(link.toCoreLinkFormat());
            }
            return list.toString();
        }
        return String.valueOf(value);
    }

    private static synchronized void say(ObjectNode line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void event(String name) {
        say(JSON.createObjectNode().put("event", name));
    }

    private static final class Reporter
            implements RegistrationListener, ObservationListener, SendListener, PresenceListener {
        private static void about(String event, Registration registration) {
            say(JSON.createObjectNode().put("event", event).put("endpoint", registration.getEndpoint()));
        }

        @Override
        public void registered(Registration registration, Registration previous, Collection<Observation> observations) {
            about("registered", registration);
        }

        @Override
        public void updated(RegistrationUpdate update, Registration registration, Registration previous) {
            about("updated", registration);
        }

        @Override
        public void unregistered(Registration registration, Collection<Observation> observations, boolean expired,
                Registration next) {
            about(expired ? "expired" : "deregistered", registration);
        }

        @Override
        public void onAwake(Registration registration) {
            about("awake", registration);
        }

        @Override
        public void onSleeping(Registration registration) {
            about("asleep", registration);
        }

        @Override
        public void newObservation(Observation observation, Registration registration) {
            about("observed", registration);
        }

        @Override
        public void cancelled(Observation observation) {
            event("cancelled");
        }

        @Override
        public void onResponse(SingleObservation observation, Registration registration, ObserveResponse response) {
            ObjectNode line = JSON.createObjectNode().put("event", "notified");
            line.put("endpoint", registration.getEndpoint()).put("path", observation.getPath().toString());
            line.put("code", code(response));
            if (response.getContent() != null) {
                flatten(observation.getPath().toString(), response.getContent(), line.withObject("/content"));
            }
            if (response.getTimestampedLwM2mNodes() != null) {
                for (TimestampedLwM2mNode node : response.getTimestampedLwM2mNodes()) {
                    ObjectNode moment = line.withArray("times").addObject().put("time", seconds(node.getTimestamp()));
                    flatten(observation.getPath().toString(), node.getNode(), moment.withObject("/content"));
                }
            }
            say(line);
        }

        @Override
        public void onResponse(CompositeObservation observation, Registration registration,
                ObserveCompositeResponse response) {
            ObjectNode line = JSON.createObjectNode().put("event", "notified-composite");
            line.put("endpoint", registration.getEndpoint()).put("code", code(response));
            if (response.getContent() != null) {
                flatten(response.getContent(), line.withObject("/content"));
            }
            times(response.getTimestampedLwM2mNodes(), line);
            say(line);
        }

        @Override
        public void dataReceived(Registration registration, TimestampedLwM2mNodes data, SendRequest request) {
            ObjectNode line = JSON.createObjectNode().put("event", "sent").put("endpoint", registration.getEndpoint());
            flatten(data.getMostRecentNodes(), line.withObject("/content"));
            times(data, line);
            say(line);
        }

        @Override
        public void onError(Registration registration, String message, Exception error) {
            say(JSON.createObjectNode().put("event", "send-error").put("error", message));
        }

        @Override
        public void onError(Observation observation, Registration registration, Exception error) {
            say(JSON.createObjectNode().put("event", "notification-error").put("error", error.toString()));
        }
    }
}
