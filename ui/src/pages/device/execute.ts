// Arguments of Execute (TS_Core 6.3.5): digits 0 to 9 once each, with an optional value in quotes.

const LIST = /^\d(='[^']*')?(,\d(='[^']*')?)*$/;

/** What is wrong with a list of arguments, or undefined when it can be sent. */
export function argumentsError(text: string): string | undefined {
  if (text === "") return undefined;
  if (!LIST.test(text)) return "Arguments look like 0='text',1 with numbers from 0 to 9.";
  const numbers = text.replace(/='[^']*'/g, "").split(",");
  const twice = numbers.find((number, i) => numbers.indexOf(number) !== i);
  return twice === undefined ? undefined : `Argument ${twice} is there twice.`;
}
