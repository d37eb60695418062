// The statuses as people see them: word, sign and shape, and which of two is worse.
import { say } from './language.js';

// From best to worst, as app/domain/status.py ranks them; words and signs as in app/pages/rows.py.
export const STATUSES = {
  operational: { rank: 0, word: 'Operational', sign: '✓' },
  under_maintenance: { rank: 1, word: 'Maintenance', sign: '▣' },
  unknown: { rank: 2, word: 'No data', sign: '?' },
  degraded_performance: { rank: 3, word: 'Degraded', sign: '▲' },
  partial_outage: { rank: 4, word: 'Partial outage', sign: '◆' },
  major_outage: { rank: 5, word: 'Major outage', sign: '✕' },
};
export const STALE_SIGN = '◷';

const root = document.documentElement;

export const rank = (status) => STATUSES[status].rank;
export const word = (status) => say(STATUSES[status].word);

// Paints a status on one element: its colour by CSS, its shape by reference.
export function paint(element, status, shape = status) {
  if (element.dataset.status !== status) element.dataset.status = status;
  const use = element.querySelector('use');
  if (use.getAttribute('href') !== `#shape-${shape}`) use.setAttribute('href', `#shape-${shape}`);
}

// Touches the page only if the text is another one.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const capital = (text) => text[0].toUpperCase() + text.slice(1);

export function setTitle(sign, sentence, status) {
  const { page } = root.dataset;
  const title = `${sign} ${sentence} · ${page}`;
  if (document.title !== title) document.title = title;
  const icon = document.getElementById('icon');
  const address = new URL(`./status-${status}.svg`, import.meta.url).pathname;
  if (icon.getAttribute('href') !== address) icon.setAttribute('href', address);
}
