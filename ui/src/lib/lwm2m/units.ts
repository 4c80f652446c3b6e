// SenML unit names, as people write them.

const SYMBOLS: Record<string, string> = {
  Cel: "°C",
  C: "°C",
  degC: "°C",
  K: "K",
  "%RH": "% RH",
  "/": "",
  "/100": "%",
  Ohm: "Ω",
  ohm: "Ω",
  deg: "°",
  lat: "° lat",
  lon: "° lon",
  "m/s2": "m/s²",
  m2: "m²",
  m3: "m³",
  "W/m2": "W/m²",
  "m3/s": "m³/s",
  "ug/m3": "µg/m³",
  us: "µs",
  uA: "µA",
  uV: "µV",
};

/** The symbol to show behind a value; empty when there is none. */
export function unitSymbol(unit: string | null | undefined): string {
  const name = unit?.trim() ?? "";
  if (/^(none|n\/a|-)$/i.test(name)) return "";
  return SYMBOLS[name] ?? name;
}
