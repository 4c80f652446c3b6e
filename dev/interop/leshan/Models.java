import static org.eclipse.leshan.core.model.ResourceModel.Operations.E;
import static org.eclipse.leshan.core.model.ResourceModel.Operations.R;
import static org.eclipse.leshan.core.model.ResourceModel.Operations.RW;

import java.util.ArrayList;
import java.util.List;
import org.eclipse.leshan.core.model.InvalidDDFFileException;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Operations;
import org.eclipse.leshan.core.model.ResourceModel.Type;

/** What both peers know of the objects: the library's own, and the two test objects that it does not carry. */
final class Models {
    private Models() {
    }

    static List<ObjectModel> all() throws Exception {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadAllDefault());
        models.add(test());
        models.add(temperature());
        models.add(portfolio());
        return models;
    }

    private static ObjectModel test() {
        List<ResourceModel> resources = new ArrayList<>();
        String[] commands = {"Reset values", "Randomize values", "Clear values", "Exec With Arguments"};
        for (int id = 0; id < commands.length; id++) {
            resources.add(resource(id, commands[id], E, false, Type.NONE));
        }
        resources.add(resource(4, "Arguments List", R, true, Type.STRING));
        resources.add(resource(5, "Send Data", E, false, Type.NONE));
        resources.add(resource(6, "Resources to Send", RW, true, Type.STRING));
        int[] ids = {110, 120, 125, 130, 140, 150, 160, 170, 180};
        Type[] types = {Type.STRING, Type.INTEGER, Type.UNSIGNED_INTEGER, Type.FLOAT, Type.BOOLEAN, Type.OPAQUE,
                Type.TIME, Type.OBJLNK, Type.CORELINK};
        for (int index = 0; index < ids.length; index++) {
            resources.add(resource(ids[index], types[index] + " Value", RW, false, types[index]));
            resources.add(resource(1000 + ids[index], "Multiple " + types[index] + " Value", RW, true, types[index]));
        }
        return new ObjectModel(3442, "LwM2M v1.1 Test Object", "", "1.0", true, false, resources);
    }

    private static ObjectModel temperature() {
        List<ResourceModel> resources = new ArrayList<>();
        resources.add(new ResourceModel(5700, "Sensor Value", R, false, true, Type.FLOAT, "", "", ""));
        resources.add(resource(5601, "Min Measured Value", R, false, Type.FLOAT));
        resources.add(resource(5602, "Max Measured Value", R, false, Type.FLOAT));
        resources.add(resource(5701, "Sensor Units", R, false, Type.STRING));
        resources.add(resource(5605, "Reset Min and Max Measured Values", E, false, Type.NONE));
        resources.add(resource(5750, "Application Type", RW, false, Type.STRING));
        return new ObjectModel(3303, "Temperature", "", "1.1", true, false, resources);
    }

    private static ObjectModel portfolio() {
        List<ResourceModel> resources = new ArrayList<>();
        resources.add(new ResourceModel(0, "Identity", RW, true, true, Type.STRING, "", "", ""));
        resources.add(resource(1, "GetAuthData", E, false, Type.NONE));
        resources.add(resource(2, "AuthData", R, true, Type.OPAQUE));
        resources.add(resource(3, "AuthStatus", R, false, Type.INTEGER));
        return new ObjectModel(16, "Portfolio", "", "1.0", true, false, resources);
    }

    private static ResourceModel resource(int id, String name, Operations operations, boolean multiple, Type type) {
        return new ResourceModel(id, name, operations, multiple, false, type, "", "", "");
    }
}
