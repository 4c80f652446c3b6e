// Lists that come page by page: whatever happens between two pages, nothing stands in them twice.

/** What is there and, behind it, those of a page that are not there yet: two rows of one key would stop the page that shows them. */
export function joined<T>(items: readonly T[], page: readonly T[], key: (item: T) => unknown): T[] {
  const known = new Set(items.map(key));
  return [...items, ...page.filter((item) => !known.has(key(item)) && known.add(key(item)))];
}
