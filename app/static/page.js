// The pages for visitors. The server has drawn them, so all that is loaded with one is what says whether it is still
// true. What draws a change on it, news.js, is loaded a while later, or with the first change if that comes before.
import { Hero } from './hero.js';
import { Live } from './live.js';
import { Times } from './times.js';
import { keep, keepInThisTab } from './keep.js';
import { reload } from './reload.js';

const root = document.documentElement;
const POINTING = ['pointerover', 'focusin'];
const MOST = 1000; // frames that wait to be drawn
const RELOADS_APART = 60e3; // milliseconds
const AHEAD = 10e3; // milliseconds after which news.js is fetched, twice that at most: with the first change all would ask at once

const live = new Live(hear, () => hero.draw());
const times = new Times(() => live.now());
const hero = new Hero(live, times.clock);

let news = null;
const waiting = [];

// Frames stay in order, also while news.js is under way. As long as one waits, the page is behind, and if that lasts it
// becomes stale: it knows that it does not show how things stand.
function hear(frame) {
  if (news) return news.hear(frame);
  if (!isNews(frame) || waiting.length === MOST) return;
  live.behind = true;
  if (waiting.push(frame) === 1) load();
  if (waiting.length === MOST) drawAnew();
}

// What was measured is not on these pages.
function isNews({ type, status, components, notes, incidents, maintenances }) {
  return type === 'snapshot' || status || components || notes || incidents || maintenances;
}

const fetchNews = () => import('./news.js');

async function load() {
  try {
    const { News } = await fetchNews();
    news = new News(hero, times);
    for (const frame of waiting.splice(0)) news.hear(frame);
    live.behind = false;
  } catch {
    drawAnew();
  }
}

// It has not come: the server is gone, or has another release by now. What it draws next is right in either case. Where
// something on the way never lets it through, each drawing might be behind at once, so this is not done all the time.
function drawAnew() {
  const since = Date.now() - Number(keepInThisTab.get('drawn-anew'));
  setTimeout(() => {
    keepInThisTab.set('drawn-anew', String(Date.now()));
    reload();
  }, Math.min(RELOADS_APART, Math.max(0, RELOADS_APART - since)) + Math.random() * 2000);
}

function choose(id, chosen) {
  const select = document.getElementById(id);
  select.value = keep.get(id);
  select.addEventListener('change', () => {
    keep.set(id, select.value);
    chosen(select.value);
  });
  chosen(select.value);
}

choose('theme', (theme) => (root.dataset.theme = theme));
choose('zone', (zone) => {
  // That of the browser is the one it takes if it is given none.
  times.clock.set(zone === 'here' ? undefined : zone || root.dataset.zone);
  times.drawAll();
});
// What days have to say is loaded when somebody first points at one.
for (const card of document.querySelectorAll('[data-day]')) {
  const point = async ({ target }) => {
    if (!target.closest?.('.component .bar')) return;
    for (const event of POINTING) card.removeEventListener(event, point);
    (await import('./bars.js')).watchBars(card);
  };
  for (const event of POINTING) card.addEventListener(event, point);
}
document.getElementById('language').addEventListener('change', ({ target }) => target.form.submit());
addEventListener('beforeprint', () => document.querySelectorAll('.group').forEach((group) => (group.open = true)));
setInterval(() => times.drawAll(), 10e3);
if (document.querySelector('.hero, #past')) {
  live.start();
  // If it does not come now, it is asked for again with the first change.
  setTimeout(() => fetchNews().catch(() => {}), AHEAD * (1 + Math.random()));
}
