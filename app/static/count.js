// Texts in which something is counted, by the rules of the page's language.
import { fill, locale, words } from './language.js';

const rules = new Intl.PluralRules(locale);

// `{number}` in the text is what is counted.
export function count(number, one, many, values = {}) {
  const forms = words[one] ?? { one, other: many };
  return fill(forms[rules.select(number)] ?? forms.other, { number, ...values });
}
