// Runs before the first paint so that a chosen theme does not flash. A file of its own because the
// Content-Security-Policy allows no inline script.
try {
  const theme = localStorage.getItem("lightship.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's preference then decides.
}
