// What is live at /admin. Without it all pages are whole: this moves statuses with the stream, and draws again what
// others have changed. Nothing that somebody is typing is touched.
import { Live } from './live.js';
import { paint, write } from './paint.js';
import { word } from './status.js';

const live = new Live(hear, () => {});
let drawing = false;
let again = false;

function hear(frame) {
  for (const { slug, status, note } of frame.components ?? []) show(slug, status, note);
  for (const [slug, note] of Object.entries(frame.notes ?? {})) show(slug, null, note);
  if (frame.type === 'snapshot' ? frame.why !== 'first' : isNews(frame)) freshen();
}

function show(slug, status, note) {
  for (const element of document.querySelectorAll(`.component[data-slug="${slug}"]`)) {
    if (status) {
      paint(element, status);
      const said = element.querySelector('.word');
      if (said) write(said, word(status));
    }
    const beside = element.querySelector('.note');
    if (beside && note !== undefined) write(beside, note);
  }
}

const isNews = ({ incidents, maintenances, components }) => incidents || maintenances || components;

// Each part of the page that has an id and `data-fresh` is as the server has it now. One request at a time.
async function freshen() {
  const parts = [...document.querySelectorAll('[data-fresh]')];
  if (!parts.length) return;
  again = true;
  if (drawing) return;
  drawing = true;
  while (again) {
    again = false;
    const answer = await fetch(location.pathname, { cache: 'no-store' }).catch(() => null);
    const page = answer?.ok ? new DOMParser().parseFromString(await answer.text(), 'text/html') : null;
    for (const part of parts) {
      const fresh = page?.getElementById(part.id);
      if (fresh && part.isConnected && !isUsed(part)) part.replaceChildren(...fresh.childNodes);
    }
  }
  drawing = false;
}

const isUsed = (part) => part.contains(document.activeElement) || part.querySelector('details[open]');

// On a phone the line of rooms is longer than the screen.
document.querySelector('.rooms [aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' });

live.start();
