// What of the page says a status: a shape and a colour, a text, the title and the icon of its tab.
const root = document.documentElement;
export const STALE_SIGN = '◷';

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
  if (icon.dataset.status === status) return;
  icon.dataset.status = status;
  // That of a stale page has come with it: there may be nobody to ask.
  icon.href = status === 'stale' ? icon.dataset.stale : new URL(`./status-${status}.svg`, import.meta.url).pathname;
}
