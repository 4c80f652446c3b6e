// A menu that opens below its button: it closes when somebody goes on elsewhere, or presses Escape.

export function menu(node: HTMLDetailsElement): { destroy: () => void } {
  const elsewhere = (event: Event): void => {
    if (node.open && event.target instanceof Node && !node.contains(event.target)) node.open = false;
  };
  const escape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !node.open) return;
    event.stopPropagation();
    node.open = false;
    node.querySelector("summary")?.focus();
  };
  for (const type of ["pointerdown", "focusin"]) document.addEventListener(type, elsewhere);
  node.addEventListener("keydown", escape);
  return {
    destroy(): void {
      for (const type of ["pointerdown", "focusin"]) document.removeEventListener(type, elsewhere);
      node.removeEventListener("keydown", escape);
    },
  };
}
