import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.cert.Certificate;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import org.eclipse.californium.elements.Connector;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.Device;
import org.eclipse.leshan.client.object.LwM2mTestObject;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.resource.SimpleInstanceEnabler;
import org.eclipse.leshan.client.send.ManualDataSender;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.response.SendResponse;
import org.eclipse.leshan.core.util.datatype.ULong;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointFactory;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientEndpointFactory;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/**
 * A device on Leshan's client library: LeshanDevice SERVER_URI ENDPOINT LIFETIME_S [FLAG…]. The flags: `bootstrap` (the
 * URI is a bootstrap server's), `queue` (Queue Mode), `prefers-tlv`, `additional` (two parameters of its own).
 * Security: `psk=IDENTITY:HEX`, `rpk=OWN_PUBLIC:OWN_PRIVATE:SERVER_PUBLIC`, `x509=OWN_CHAIN:OWN_PRIVATE:SERVER`, files in
 * DER; `usage=0` to 3, `sni=NAME`, `trust=FILE,…`, and what {@link Keys#configure} knows.
 * Standard input: `resume` and `handshake` (an Update with an abbreviated or full handshake before it), `update`, `bootstrap`, `accounts`, `send FORMAT PATH…`, `collect PATH…`, `send-collected FORMAT`, `quit` (De-register first), `die` (without). Standard output: an event a line.
 */
public final class LeshanDevice {
    /** What was connected last. */
    private static volatile DTLSConnector secured;

    private LeshanDevice() {
    }

    public static void main(String[] arguments) throws Exception {
        String uri = arguments[0];
        List<String> flags = List.of(arguments).subList(3, arguments.length);
        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(Models.all()));
        boolean bootstrap = flags.contains("bootstrap");
        objects.setInstancesForObject(0, security(uri, flags, bootstrap));
        if (bootstrap) {
            objects.setClassForObject(1, Server.class);
        } else {
            EnumSet<BindingMode> binding = EnumSet.of(BindingMode.U);
            objects.setInstancesForObject(1, new Server(1, Long.parseLong(arguments[2]), binding, false,
                    BindingMode.U));
        }
        objects.setClassForObject(2, SimpleInstanceEnabler.class);
        objects.setInstancesForObject(3, new Device("Eclipse Leshan", "peer", "0001"));
        objects.setInstancesForObject(3303, new SimpleInstanceEnabler(0, 5700, 20.5d, 5701, "Cel"));
        objects.setClassForObject(3442, LwM2mTestObject.class);
        objects.setInstancesForObject(3442, new LwM2mTestObject());

        DefaultRegistrationEngineFactory engine = new DefaultRegistrationEngineFactory()
                .setQueueMode(flags.contains("queue"))
                .setPreferredContentFormat(flags.contains("prefers-tlv") ? ContentFormat.TLV : ContentFormat.SENML_CBOR)
                .setRetryWaitingTimeInMs(2_000);
        Map<String, String> additional = flags.contains("additional")
                ? Map.of("key1", "value1", "imei", "2136872368") : null;
        LeshanClient client = new LeshanClientBuilder(arguments[1])
                .setObjects(objects.createAll())
                .setDataSenders(new ManualDataSender())
                .setRegistrationEngineFactory(engine)
                .setAdditionalAttributes(additional)
                .setBootstrapAdditionalAttributes(additional)
                .setTrustStore(trusted(flags))
                .setEndpointsProviders(transports(flags))
                .build();
        client.addObserver(new Reporter());
        client.start();
        obey(client);
    }

    private static Security security(String uri, List<String> flags, boolean bootstrap) throws Exception {
        String sni = Keys.flag(flags, "sni");
        String usage = Keys.flag(flags, "usage");
        ULong how = ULong.valueOf(usage == null ? 3 : Integer.parseInt(usage));
        for (String mode : List.of("psk", "rpk", "x509")) {
            String given = Keys.flag(flags, mode);
            if (given == null) {
                continue;
            }
            String[] parts = given.split(":");
            if (mode.equals("psk")) {
                byte[] identity = parts[0].getBytes(StandardCharsets.UTF_8);
                byte[] key = Keys.hex(parts[1]);
                return bootstrap ? Security.pskBootstrap(uri, identity, key) : Security.psk(uri, 1, identity, key);
            }
            byte[] own = Keys.bytes(parts[0]);
            byte[] secret = Keys.bytes(parts[1]);
            byte[] server = Keys.bytes(parts[2]);
            if (mode.equals("rpk")) {
                return bootstrap ? Security.rpkBootstrap(uri, own, secret, server, sni)
                        : Security.rpk(uri, 1, own, secret, server, sni);
            }
            return bootstrap ? Security.x509Bootstrap(uri, own, secret, server, how, sni)
                    : Security.x509(uri, 1, own, secret, server, how, sni);
        }
        return bootstrap ? Security.noSecBootstrap(uri) : Security.noSec(uri, 1);
    }

    private static List<Certificate> trusted(List<String> flags) throws Exception {
        String files = Keys.flag(flags, "trust");
        return files == null ? null : List.of(Keys.certificates(files));
    }

    private static CaliforniumClientEndpointsProvider transports(List<String> flags) {
        CaliforniumClientEndpointsProvider.Builder builder = new CaliforniumClientEndpointsProvider.Builder(
                new CoapClientProtocolProvider(), new CoapsClientProtocolProvider() {
                    @Override
                    public CaliforniumClientEndpointFactory createDefaultEndpointFactory() {
                        return new CoapsClientEndpointFactory() {
                            @Override
                            protected Connector createSecuredConnector(DtlsConnectorConfig config) {
                                secured = new DTLSConnector(config);
                                return secured;
                            }
                        };
                    }
                });
        Configuration configuration = builder.createDefaultConfiguration();
        Keys.configure(configuration, flags);
        return builder.setConfiguration(configuration).build();
    }

    private static void obey(LeshanClient client) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.trim().split(" ");
            if (words.length > 1) {
                try {
                    reportData(client, words);
                } catch (Exception refused) {
                    say("sent nothing: " + refused);
                }
                continue;
            }
            switch (line.trim()) {
                case "resume" -> {
                    secured.forceResumeAllSessions();
                    client.triggerRegistrationUpdate();
                }
                case "handshake" -> {
                    secured.clearConnectionState();
                    client.triggerRegistrationUpdate();
                }
                case "update" -> client.triggerRegistrationUpdate();
                case "bootstrap" -> say("bootstrap " + client.triggerClientInitiatedBootstrap(true));
                case "accounts" -> say("accounts " + accounts(client));
                case "die" -> Runtime.getRuntime().halt(0);
                case "quit" -> {
                    client.destroy(true);
                    System.exit(0);
                }
                default -> say("unknown command");
            }
        }
        client.destroy(true);
        System.exit(0);
    }

    /** The instances of Security, Server and Access Control. */
    private static String accounts(LeshanClient client) {
        StringBuilder list = new StringBuilder();
        for (int object : new int[] {0, 1, 2}) {
            client.getObjectTree().getObjectEnabler(object).getAvailableInstanceIds()
                    .forEach(instance -> list.append(list.length() == 0 ? "" : ",")
                            .append("/" + object + "/" + instance));
        }
        return list.toString();
    }

    /** `send FORMAT PATH…` now, or `collect PATH…` now and again, and later `send-collected FORMAT`. */
    private static void reportData(LeshanClient client, String[] words) throws Exception {
        LwM2mServer server = client.getRegisteredServers().values().iterator().next();
        ManualDataSender collected = client.getSendService().getDataSender(ManualDataSender.DEFAULT_NAME,
                ManualDataSender.class);
        List<String> rest = List.of(words).subList(1, words.length);
        switch (words[0]) {
            case "send" -> {
                SendResponse response = client.getSendService().sendData(server, ContentFormat.fromName(rest.get(0)),
                        rest.subList(1, rest.size()), 10_000);
                say("sent " + (response == null ? "timeout" : response.getCode()));
            }
            case "collect" -> {
                collected.collectData(rest.stream().map(LwM2mPath::new).toList());
                say("collected");
            }
            case "send-collected" -> {
                collected.sendCollectedData(server, ContentFormat.fromName(rest.get(0)), 10_000, false);
                say("sent collected");
            }
            default -> say("unknown command");
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static final class Reporter extends LwM2mClientObserverAdapter {
        @Override
        public void onBootstrapSuccess(LwM2mServer server, BootstrapRequest request) {
            say("bootstrapped");
        }

        @Override
        public void onBootstrapFailure(LwM2mServer server, BootstrapRequest request, ResponseCode code,
                String message, Exception cause) {
            say("bootstrap refused " + code + " " + message);
        }

        @Override
        public void onBootstrapTimeout(LwM2mServer server, BootstrapRequest request) {
            say("bootstrap timed out");
        }

        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String id) {
            say("registered " + id);
        }

        @Override
        public void onRegistrationTimeout(LwM2mServer server, RegisterRequest request) {
            say("timed out");
        }

        @Override
        public void onUpdateTimeout(LwM2mServer server, UpdateRequest request) {
            say("update timed out");
        }

        @Override
        public void onUnexpectedError(Throwable error) {
            say("failed " + error);
        }

        @Override
        public void onRegistrationFailure(LwM2mServer server, RegisterRequest request, ResponseCode code,
                String message, Exception cause) {
            say("refused " + code + " " + message);
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request) {
            say("updated");
        }

        @Override
        public void onUpdateFailure(LwM2mServer server, UpdateRequest request, ResponseCode code, String message,
                Exception cause) {
            say("update refused " + code + " " + message);
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request) {
            say("deregistered");
        }
    }
}
