// Three devices for developing the UI without a server. Facts of a few objects, written by hand; the real server
// generates its definitions from the whole registry.

const R = (id, name, type, more = {}) => ({ id, name, operations: "R", multiple: false, mandatory: false, type, ...more });
const RW = (id, name, type, more = {}) => ({ ...R(id, name, type, more), operations: "RW" });
const E = (id, name) => ({ id, name, operations: "E", multiple: false, mandatory: false });

export const MODELS = [
  {
    id: 1, version: "1.1", name: "LwM2M Server", multiple: true, mandatory: true, loaded: false,
    resources: [
      R(0, "Short Server ID", "integer", { range: "1..65534", mandatory: true }),
      RW(1, "Lifetime", "integer", { units: "s", mandatory: true }),
      RW(2, "Default Minimum Period", "integer", { units: "s" }),
      RW(6, "Notification Storing When Disabled or Offline", "boolean", { mandatory: true }),
      RW(7, "Binding", "string", { mandatory: true }),
      E(8, "Registration Update Trigger"),
    ],
  },
  {
    id: 3, version: "1.1", name: "Device", multiple: false, mandatory: true, loaded: false,
    resources: [
      R(0, "Manufacturer", "string"), R(1, "Model Number", "string"), R(2, "Serial Number", "string"),
      R(3, "Firmware Version", "string"), { ...E(4, "Reboot"), mandatory: true }, E(5, "Factory Reset"),
      R(6, "Available Power Sources", "integer", { multiple: true, range: "0..7" }),
      R(7, "Power Source Voltage", "integer", { multiple: true, units: "mV" }),
      R(9, "Battery Level", "integer", { range: "0..100", units: "%" }),
      R(10, "Memory Free", "integer", { units: "KiB" }),
      R(11, "Error Code", "integer", { multiple: true, mandatory: true, range: "0..32" }),
      RW(13, "Current Time", "time"), RW(14, "UTC Offset", "string"), RW(15, "Timezone", "string"),
      R(16, "Supported Binding and Modes", "string", { mandatory: true }),
      R(20, "Battery Status", "integer", { range: "0..6" }),
    ],
  },
  {
    id: 5, version: "1.1", name: "Firmware Update", multiple: false, mandatory: false, loaded: false,
    resources: [
      { ...RW(0, "Package", "opaque"), operations: "W" }, RW(1, "Package URI", "string", { range: "0..255" }),
      E(2, "Update"), R(3, "State", "integer", { range: "0..3" }), R(5, "Update Result", "integer", { range: "0..11" }),
      R(9, "Firmware Update Delivery Method", "integer", { range: "0..2" }),
    ],
  },
  {
    id: 3303, version: "1.1", name: "Temperature", multiple: true, mandatory: false, loaded: false,
    resources: [
      R(5700, "Sensor Value", "float", { mandatory: true }), R(5701, "Sensor Units", "string"),
      R(5601, "Min Measured Value", "float"), R(5602, "Max Measured Value", "float"),
      E(5605, "Reset Min and Max Measured Values"), RW(5750, "Application Type", "string"),
    ],
  },
  {
    id: 3442, version: "1.0", name: "LwM2M v1.1 Test Object", multiple: true, mandatory: false, loaded: false,
    resources: [
      E(0, "Reset values"), E(1, "Randomize values"),
      RW(110, "String Value", "string", { range: "0..80" }), RW(120, "Integer Value", "integer"),
      RW(125, "Unsigned Integer Value", "unsigned"), RW(130, "Float Value", "float"), RW(140, "Boolean Value", "boolean"),
      RW(150, "Opaque Value", "opaque"), RW(160, "Time Value", "time"), RW(170, "ObjLink Value", "objlnk"),
      RW(1120, "Multiple Integer Value", "integer", { multiple: true }),
    ],
  },
];

const minutes = (n) => new Date(Date.now() - n * 60_000).toISOString();

function device(endpoint, more) {
  return {
    endpoint,
    registration_id: "0100" + Buffer.from(endpoint).toString("hex").slice(0, 8),
    lwm2m_version: "1.1", lifetime_s: 300, binding: "U", queue_mode: false, state: "awake",
    address: "127.0.0.1:41234", registered_at: minutes(42), updated_at: minutes(1),
    expires_at: minutes(-4), security: { mode: "nosec" }, attributes: {}, ...more,
  };
}

export function devices() {
  const now = () => Math.floor(Date.now() / 1000);
  const common = () => ({
    "/1/0/0": 1, "/1/0/1": 300, "/1/0/6": true, "/1/0/7": "U",
    "/3/0/0": "Lightship", "/3/0/1": "demo", "/3/0/2": "LS-0042", "/3/0/3": "1.4.2", "/3/0/6/0": 1, "/3/0/6/1": 5,
    "/3/0/7/0": 3800, "/3/0/7/1": 5000, "/3/0/9": 84, "/3/0/10": 2048, "/3/0/11/0": 0, "/3/0/13": now(),
    "/3/0/14": "+01:00", "/3/0/15": "Europe/Berlin", "/3/0/16": "U", "/3/0/20": 0,
  });
  return [
    {
      registration: device("demo-sensor", {
        objects: [
          { path: "/1", version: "1.1" }, { path: "/1/0" }, { path: "/3", version: "1.1" }, { path: "/3/0" },
          { path: "/3303", version: "1.1" }, { path: "/3303/0" }, { path: "/3303/1" }, { path: "/3442", version: "1.0" }, { path: "/3442/0" },
        ],
      }),
      values: {
        ...common(),
        "/3303/0/5700": 21.4, "/3303/0/5701": "Cel", "/3303/0/5601": 18.2, "/3303/0/5602": 24.9, "/3303/0/5750": "Room",
        "/3303/1/5700": 4.1, "/3303/1/5701": "Cel", "/3442/0/110": "initial value", "/3442/0/120": 1024,
        "/3442/0/125": "9223372036854775808", "/3442/0/130": 3.14159, "/3442/0/140": true, "/3442/0/150": "AQIDBAU=",
        "/3442/0/160": 946684800, "/3442/0/170": "3:0", "/3442/0/1120/0": 7, "/3442/0/1120/1": 42,
      },
    },
    {
      registration: device("demo-meter", {
        state: "asleep", queue_mode: true, expected_wake: minutes(-4), lifetime_s: 86400, updated_at: minutes(12), expires_at: minutes(-1428),
        address: "127.0.0.1:41235",
        objects: [{ path: "/1/0", version: "1.1" }, { path: "/3", version: "1.1" }, { path: "/3/0" }],
      }),
      values: common(),
    },
    {
      registration: device("demo-firmware", {
        lwm2m_version: "1.2", address: "[::1]:41236", security: { mode: "psk", identity: "demo-firmware", cipher_suite: "TLS_PSK_WITH_AES_128_CCM_8", cid: "0100f3a97c21" },
        session: { opened_at: minutes(42), age_s: 2520, resumed: false, cid: "0100f3a97c21", rrc: true, dropped: { bad_mac: 3 } },
        objects: [
          { path: "/1/0", version: "1.1" }, { path: "/3", version: "1.1" }, { path: "/3/0" }, { path: "/5", version: "1.1" }, { path: "/5/0" },
        ],
      }),
      values: { ...common(), "/5/0/1": "", "/5/0/3": 0, "/5/0/5": 0, "/5/0/9": 2 },
    },
  ];
}
