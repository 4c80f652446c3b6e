// What this browser remembers. Storage may be forbidden; then it is remembered until the page closes.

export type Theme = "system" | "light" | "dark";

export function load(key: string): string | null {
  try {
    return localStorage.getItem(`lightship.${key}`);
  } catch {
    return null;
  }
}

export function save(key: string, value: string): void {
  try {
    localStorage.setItem(`lightship.${key}`, value);
  } catch {
    // See above.
  }
}

function loadTheme(): Theme {
  const theme = load("theme");
  return theme === "light" || theme === "dark" ? theme : "system";
}

class Prefs {
  theme: Theme = $state(loadTheme());
  /** Read an instance when it is opened, if its device is awake. */
  readOnOpen = $state(load("readOnOpen") !== "no");
  /** Show resources that the definition knows and the device has not shown yet. */
  showAbsent = $state(load("showAbsent") === "yes");

  setTheme(theme: Theme): void {
    this.theme = theme;
    save("theme", theme);
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }

  setReadOnOpen(on: boolean): void {
    this.readOnOpen = on;
    save("readOnOpen", on ? "yes" : "no");
  }

  setShowAbsent(on: boolean): void {
    this.showAbsent = on;
    save("showAbsent", on ? "yes" : "no");
  }
}

export const prefs = new Prefs();
