import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.EnumSet;
import java.util.List;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.object.Device;
import org.eclipse.leshan.client.object.LwM2mTestObject;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.resource.SimpleInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.response.SendResponse;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;

/**
 * A device on Leshan's client library: LeshanDevice SERVER_URI ENDPOINT LIFETIME_S.
 * Standard input: `update`, `send FORMAT PATH…`, `quit` (De-register first), `die` (without). Standard output: an event a line.
 */
public final class LeshanDevice {
    private LeshanDevice() {
    }

    public static void main(String[] arguments) throws Exception {
        String uri = arguments[0];
        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(Models.all()));
        objects.setInstancesForObject(0, Security.noSec(uri, 1));
        objects.setInstancesForObject(1, new Server(1, Long.parseLong(arguments[2]), EnumSet.of(BindingMode.U), false,
                BindingMode.U));
        objects.setInstancesForObject(3, new Device("Eclipse Leshan", "peer", "0001"));
        objects.setInstancesForObject(3303, new SimpleInstanceEnabler(0, 5700, 20.5d, 5701, "Cel"));
        objects.setClassForObject(3442, LwM2mTestObject.class);
        objects.setInstancesForObject(3442, new LwM2mTestObject());

        LeshanClient client = new LeshanClientBuilder(arguments[1])
                .setObjects(objects.createAll())
                .setEndpointsProviders(new CaliforniumClientEndpointsProvider.Builder(new CoapClientProtocolProvider())
                        .build())
                .build();
        client.addObserver(new Reporter());
        client.start();
        obey(client);
    }

    private static void obey(LeshanClient client) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            if (line.startsWith("send ")) {
                send(client, line.trim().split(" "));
                continue;
            }
            switch (line.trim()) {
                case "update" -> client.triggerRegistrationUpdate();
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

    /** `send FORMAT PATH…` */
    private static void send(LeshanClient client, String[] words) throws Exception {
        LwM2mServer server = client.getRegisteredServers().values().iterator().next();
        SendResponse response = client.getSendService().sendData(server, ContentFormat.fromName(words[1]),
                List.of(words).subList(2, words.length), 10_000);
        say("sent " + (response == null ? "timeout" : response.getCode()));
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static final class Reporter extends LwM2mClientObserverAdapter {
        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String id) {
            say("registered " + id);
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
