// What a page says, in its language. The server puts into a page the words that its script names, unless it is
// English: then they are as they stand in the script.

export const language = document.documentElement.lang;
// Figures as they are written everywhere on the page, also where a language has others of its own.
export const locale = language === 'en' ? 'en-GB' : `${language}-u-nu-latn`;

export const words = JSON.parse(document.getElementById('words')?.textContent ?? '{}');

export function say(text, values = {}) {
  return fill(words[text] ?? text, values);
}

// Among words from right to left, a Latin name or "12 ms" stays in one piece.
const isolate = (value) =>
  document.documentElement.dir === 'rtl' && typeof value !== 'number' ? `\u2068${value}\u2069` : value;

export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => isolate(values[name]));
}
