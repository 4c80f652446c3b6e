import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.eclipse.leshan.core.SecurityMode;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.peer.LwM2mPeer;
import org.eclipse.leshan.core.request.BootstrapDiscoverRequest;
import org.eclipse.leshan.core.request.BootstrapDownlinkRequest;
import org.eclipse.leshan.core.request.BootstrapReadRequest;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.BootstrapWriteRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.response.BootstrapDiscoverResponse;
import org.eclipse.leshan.core.response.BootstrapReadResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig.ACLConfig;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig.ServerConfig;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig.ServerSecurity;
import org.eclipse.leshan.server.bootstrap.BootstrapConfigStoreTaskProvider;
import org.eclipse.leshan.server.bootstrap.BootstrapFailureCause;
import org.eclipse.leshan.server.bootstrap.BootstrapSession;
import org.eclipse.leshan.server.bootstrap.BootstrapSessionListener;
import org.eclipse.leshan.server.bootstrap.InMemoryBootstrapConfigStore;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServerBuilder;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.CaliforniumBootstrapServerEndpointsProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coap.CoapBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coaps.CoapsBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.security.BootstrapSecurityStoreAdapter;
import org.eclipse.leshan.server.security.InMemorySecurityStore;
import org.eclipse.leshan.server.security.SecurityInfo;

/**
 * A bootstrap server on Leshan's library: LeshanBootstrapServer PORT [FLAG…]. Listens on loopback. The flags: `coaps`,
 * `key=PRIVATE` with `public=FILE` or `chain=FILE` and `trust=FILE`, all DER.
 * Standard input: a credential, {"credential": ENDPOINT} with "identity" and "key", or "public", or neither (certificate); or one device's configuration a line, {"endpoint", "accounts": [{"instance", "bootstrap", "ssid", "uri",
 * "lifetime", "identity", "key"}], "delete": [paths], "format", "auto_ids", "begin": "discover /" or "read /1", "acls"}. Standard output: an
 * event a line.
 */
public final class LeshanBootstrapServer {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final InMemoryBootstrapConfigStore store = new InMemoryBootstrapConfigStore();
    private final Map<String, BootstrapDownlinkRequest<?>> begins = new ConcurrentHashMap<>();

    private final InMemorySecurityStore credentials = new InMemorySecurityStore();

    private LeshanBootstrapServer(int port, List<String> flags) throws Exception {
        Protocol protocol = flags.contains("coaps") ? Protocol.COAPS : Protocol.COAP;
        CaliforniumBootstrapServerEndpointsProvider endpoints = new CaliforniumBootstrapServerEndpointsProvider.Builder(
                new CoapBootstrapServerProtocolProvider(), new CoapsBootstrapServerProtocolProvider())
                .addEndpoint(new InetSocketAddress("127.0.0.1", port), protocol)
                .build();
        LeshanBootstrapServerBuilder builder = new LeshanBootstrapServerBuilder()
                .setTaskProvider(new Beginning())
                .setEndpointsProviders(endpoints);
        if (protocol == Protocol.COAPS) {
            builder.setSecurityStore(new BootstrapSecurityStoreAdapter(credentials));
        }
        for (String flag : flags) {
            String file = flag.substring(flag.indexOf('=') + 1);
            switch (flag.substring(0, Math.max(flag.indexOf('='), 0))) {
                case "key" -> builder.setPrivateKey(
                        KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(bytes(file))));
                case "public" -> builder.setPublicKey(publicKey(file));
                case "chain" -> builder.setCertificateChain(new X509Certificate[] {certificate(file)});
                case "trust" -> builder.setTrustedCertificates(new X509Certificate[] {certificate(file)});
                default -> {
                }
            }
        }
        org.eclipse.leshan.server.bootstrap.LeshanBootstrapServer server = builder.build();
        server.addListener(new Reporter());
        server.start();
    }

    private static byte[] bytes(String file) throws Exception {
        return Files.readAllBytes(Path.of(file));
    }

    private static PublicKey publicKey(String file) throws Exception {
        return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(bytes(file)));
    }

    private static X509Certificate certificate(String file) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(Files.newInputStream(Path.of(file)));
    }

    private static SecurityInfo credential(JsonNode request) throws Exception {
        String endpoint = request.get("credential").asText();
        if (request.has("identity")) {
            return SecurityInfo.newPreSharedKeyInfo(endpoint, request.get("identity").asText(),
                    HexFormat.of().parseHex(request.get("key").asText()));
        }
        return request.has("public") ? SecurityInfo.newRawPublicKeyInfo(endpoint,
                publicKey(request.get("public").asText())) : SecurityInfo.newX509CertInfo(endpoint);
    }

    public static void main(String[] arguments) throws Exception {
        LeshanBootstrapServer peer = new LeshanBootstrapServer(Integer.parseInt(arguments[0]),
                List.of(arguments).subList(1, arguments.length));
        say(JSON.createObjectNode().put("event", "ready"));
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                peer.configure(JSON.readTree(line));
                answer.put("configured", true);
            } catch (Exception failure) {
                answer.put("error", failure.toString());
            }
            say(answer);
        }
        System.exit(0);
    }

    private void configure(JsonNode request) throws Exception {
        if (request.has("credential")) {
            credentials.add(credential(request));
            return;
        }
        BootstrapConfig config = new BootstrapConfig();
        for (JsonNode account : request.path("accounts")) {
            int instance = account.path("instance").asInt();
            ServerSecurity security = new ServerSecurity();
            security.uri = account.path("uri").asText();
            security.bootstrapServer = account.path("bootstrap").asBoolean();
            security.securityMode = SecurityMode.NO_SEC;
            if (account.has("identity")) {
                security.securityMode = SecurityMode.PSK;
                security.publicKeyOrId = account.get("identity").asText().getBytes();
                security.secretKey = HexFormat.of().parseHex(account.get("key").asText());
            }
            security.serverId = security.bootstrapServer ? null : account.path("ssid").asInt();
            config.security.put(instance, security);
            if (!security.bootstrapServer) {
                ServerConfig server = new ServerConfig();
                server.shortId = security.serverId;
                server.lifetime = account.path("lifetime").asInt(300);
                config.servers.put(instance, server);
            }
        }
        for (JsonNode acl : request.path("acls")) {
            ACLConfig rights = new ACLConfig();
            rights.objectId = acl.path("object").asInt();
            rights.objectInstanceId = acl.path("instance").asInt();
            rights.AccessControlOwner = acl.path("owner").asInt();
            rights.acls = new HashMap<>();
            acl.path("rights").fields().forEachRemaining(
                    field -> rights.acls.put(Integer.parseInt(field.getKey()), field.getValue().asLong()));
            config.acls.put(config.acls.size(), rights);
        }
        request.path("delete").forEach(path -> config.toDelete.add(path.asText()));
        config.autoIdForSecurityObject = request.path("auto_ids").asBoolean();
        if (request.has("format")) {
            config.contentFormat = ContentFormat.fromName(request.get("format").asText());
        }
        String endpoint = request.path("endpoint").asText();
        store.remove(endpoint);
        store.add(endpoint, config);
        begins.remove(endpoint);
        if (request.has("begin")) {
            String[] words = request.get("begin").asText().split(" ");
            begins.put(endpoint, words[0].equals("read") ? new BootstrapReadRequest(words[1])
                    : words[1].equals("/") ? new BootstrapDiscoverRequest() : new BootstrapDiscoverRequest(words[1]));
        }
    }

    private static synchronized void say(ObjectNode line) {
        System.out.println(line);
        System.out.flush();
    }

    /** The library's own plan, after one request of the configuration's own if it has one. */
    private final class Beginning extends BootstrapConfigStoreTaskProvider {
        private Beginning() {
            super(store);
        }

        @Override
        public Tasks getTasks(BootstrapSession session, List<LwM2mResponse> previous) {
            BootstrapDownlinkRequest<?> begin = begins.get(session.getEndpoint());
            if (begin == null) {
                return super.getTasks(session, previous);
            }
            if (previous != null) {
                return super.getTasks(session, null);
            }
            Tasks tasks = new Tasks();
            tasks.requestsToSend = new ArrayList<>(List.of(begin));
            tasks.last = false;
            tasks.supportedObjects = new HashMap<>(Map.of(0, "1.1", 1, "1.1", 2, "1.0"));
            return tasks;
        }
    }

    private static final class Reporter implements BootstrapSessionListener {
        private static ObjectNode about(String event, BootstrapSession session) {
            ObjectNode line = JSON.createObjectNode().put("event", event);
            return session == null ? line : line.put("endpoint", session.getEndpoint());
        }

        private static ObjectNode step(String event, BootstrapSession session, BootstrapDownlinkRequest<?> request) {
            ObjectNode line = about(event, session);
            line.put("operation", request.getClass().getSimpleName().replace("Request", ""));
            if (request.getPath() != null) {
                line.put("path", request.getPath().toString());
            }
            if (request instanceof BootstrapWriteRequest write) {
                line.put("format", write.getContentFormat().getName());
            }
            return line;
        }

        private static String code(LwM2mResponse response) {
            int code = response.getCode().getCode();
            return "%d.%02d".formatted(code / 100, code % 100);
        }

        @Override
        public void sessionInitiated(BootstrapRequest request, LwM2mPeer client) {
            ObjectNode line = about("asked", null).put("endpoint", request.getEndpointName());
            if (request.getPreferredContentFormat() != null) {
                line.put("pct", request.getPreferredContentFormat().getCode());
            }
            request.getAdditionalAttributes().forEach((name, value) -> line.withObject("/attributes").put(name, value));
            say(line);
        }

        @Override
        public void unAuthorized(BootstrapRequest request, LwM2mPeer client) {
            say(about("unauthorized", null));
        }

        @Override
        public void authorized(BootstrapSession session) {
            say(about("begun", session));
        }

        @Override
        public void noConfig(BootstrapSession session) {
            say(about("no-config", session));
        }

        @Override
        public void sendRequest(BootstrapSession session, BootstrapDownlinkRequest<? extends LwM2mResponse> request) {
            say(step("sent", session, request));
        }

        @Override
        public void onResponseSuccess(BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request, LwM2mResponse response) {
            ObjectNode line = step("step", session, request).put("code", code(response));
            if (response instanceof BootstrapDiscoverResponse discovered) {
                for (org.eclipse.leshan.core.link.Link link : discovered.getObjectLinks()) {
                    line.withArray("links").add(link.toCoreLinkFormat());
                }
            }
            if (response instanceof BootstrapReadResponse read) {
                line.put("content", read.getContent().toString());
            }
            say(line);
        }

        @Override
        public void onResponseError(BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request, LwM2mResponse response) {
            say(step("step", session, request).put("code", code(response)));
        }

        @Override
        public void onRequestFailure(BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request, Throwable cause) {
            say(step("step", session, request).put("error", cause.toString()));
        }

        @Override
        public void end(BootstrapSession session) {
            say(about("finished", session));
        }

        @Override
        public void failed(BootstrapSession session, BootstrapFailureCause cause) {
            say(about("failed", session).put("cause", cause.toString()));
        }
    }
}
