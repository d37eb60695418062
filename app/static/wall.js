// The wall at `/wall`. Places never move: the field is laid out once for a size, and problems come to the rail.
// It is on for months, so nothing here grows: elements are reused, lists are bounded.
import { Board, STALE_SIGN, STATUSES, capital, isProblem, openIncidents, paint, rank, setTitle, weigh, word, write } from './board.js';
import { Clock, span } from './time.js';
import { Live } from './live.js';
import { Stories } from './stories.js';
import { solve, widthOf } from './layout.js';

const NEW = 600; // seconds for which a problem is called new
const FLASHES = 24; // at once
const POINTS = 40; // of a sparkline
const CARD = { tall: 19.2, compact: 12.6 }; // heights in units, with the gap, as wall.css makes them
const DRIFT = [[0, 0], [3, 0], [3, 2], [0, 3], [-3, 2], [-3, 0], [-3, -2], [0, -3]]; // pixels, against burn-in

const root = document.documentElement;
const find = (selector) => document.querySelector(selector);
const head = find('.head');
const floor = find('.floor');
const rail = find('.rail');
const field = find('.field');
const quiet = find('.quiet');
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const upright = matchMedia('(max-aspect-ratio: 1/1)');

const board = new Board(document.querySelectorAll('.component'), '', draw);
const live = new Live(hear, drawHead);
const clock = new Clock(root.dataset.zone);
const stories = new Stories((slug) => board.components.get(slug)?.name, (at) => clock.moment(at));
const groups = [...document.querySelectorAll('.group')].map((element) => ({
  heading: element.querySelector('h2 span').textContent,
  count: element.querySelector('h2 b'),
  members: board.all.filter((component) => component.group === element.dataset.group),
}));
const unit = () => Math.min(innerHeight / 100, innerWidth * 0.005625);
const age = (component) => live.now() / 1000 - component.since / 1000;

let problems = [];

function hear(frame) {
  board.hear(frame);
  stories.hear(frame);
  if (frame.incidents) drawHead();
}

function draw({ changed, measured, noted }) {
  for (const { component, ms } of measured) drawLatency(component, ms);
  // Who is on it is said on the card of a problem.
  if (noted && !changed.length) drawRail();
  if (!changed.length) return;
  for (const { component } of changed) paint(component.element, component.status);
  for (const change of changed.slice(-6)) tick(change);
  drawLastProblem(changed);
  if (!calm.matches) for (const { component } of changed.slice(0, FLASHES)) flash(component.element);
  drawGroups();
  drawRail();
  drawHead();
  drawAges();
}

function flash(element) {
  const outline = (colour) => ({ outline: `4px solid ${colour}`, outlineOffset: '-4px' });
  element.animate([outline('currentColor'), outline('transparent')], 1600);
}

// The field

function layOut() {
  const split = solve({
    width: field.clientWidth,
    height: field.clientHeight,
    unit: unit(),
    groups: groups.map(({ heading, members }) => ({ name: heading, names: members.map(({ name }) => name) })),
  });
  if (!split) return;
  field.dataset.density = split.density;
  field.toggleAttribute('data-flat', split.flat);
  const lengths = {
    '--tile-height': split.tileHeight,
    '--tile-width': split.tileWidth,
    '--tile-gap': split.tileGap,
    '--group-gap': split.groupGap,
    '--heading-height': split.headingHeight,
    '--type': split.type,
  };
  for (const [name, pixels] of Object.entries(lengths)) field.style.setProperty(name, `${pixels}px`);
  field.style.setProperty('--panels', split.panels);
  field.style.setProperty('--columns', split.columns);
}

function drawGroups() {
  for (const { count, members } of groups) write(count, String(members.filter(isProblem).length || ''));
}

function drawAges() {
  for (const card of cards) if (card.component) write(card.age, span(age(card.component)));
  if (field.dataset.density === 'cell') return;
  const always = field.dataset.density === 'large';
  for (const component of board.all) {
    const recent = component.status !== 'operational' || age(component) < 86400;
    write(component.element.querySelector('time'), always || recent ? span(age(component)) : '');
  }
}

function drawLatency(component, ms) {
  const text = component.element.querySelector('.latency');
  if (!text) return;
  write(text, ms < 1 ? '< 1 ms' : `${Math.round(ms)} ms`);
  const points = (component.points ??= []);
  points.push(ms);
  if (points.length > POINTS) points.shift();
  if (points.length > 1) component.element.querySelector('.sparkline path').setAttribute('d', line(points));
}

// The newest at the right edge. The height is half of the slowest at least, so that a small wobble looks small.
function line(points) {
  const most = Math.max(...points);
  const least = Math.min(...points);
  const height = Math.max(most - least, most / 2) * 1.2;
  const bottom = (most + least - height) / 2;
  const y = (ms) => (100 - ((ms - bottom) / height) * 100).toFixed(1);
  return `M${points.map((ms, i) => `${POINTS - points.length + i} ${y(ms)}`).join('L')}`;
}

// The rail

const template = document.getElementById('problem').content.firstElementChild;
const cards = [];

function cardAt(index) {
  if (cards[index]) return cards[index];
  const element = template.cloneNode(true);
  rail.insertBefore(element, find('.more'));
  const part = (selector) => element.querySelector(selector);
  const card = { element, name: part('.name'), age: part('.age'), what: part('.what'), when: part('.when') };
  cards.push(card);
  return card;
}

function drawRail() {
  problems = board.all.filter(isProblem).sort((a, b) => rank(b.status) - rank(a.status) || b.since - a.since);
  rail.dataset.problems = problems.length;
  const size = unit();
  const height = upright.matches ? innerHeight * 0.34 : floor.clientHeight;
  const tall = problems.length * CARD.tall * size <= height;
  const widest = Math.max(4, ...problems.slice(0, 7).map(({ name }) => widthOf(name, 640)));
  const fit = rail.clientWidth / size / (widest * 4.7 + (tall ? 11.5 : 26)); // the scale at which names fit
  const least = Math.max(0.78, Math.min(1, fit));
  const each = (tall ? CARD.tall : CARD.compact) * size * least;
  const room = (height - (problems.length * each > height ? 4 * size : 0)) / each;
  const shown = problems.slice(0, Math.max(1, Math.floor(room + 0.01)));
  rail.toggleAttribute('data-tall', tall);
  const roomy = (least * height) / (shown.length * each || 1);
  rail.style.setProperty('--scale', Math.max(least, Math.min(1.3, fit, roomy)));
  shown.forEach(drawProblem);
  for (const card of cards.slice(shown.length)) {
    card.element.hidden = true;
    card.component = null;
  }
  const more = problems.length - shown.length;
  write(find('.more'), more ? `+ ${more} more` : '');
  drawQuiet();
}

function drawProblem(component, index) {
  const card = cardAt(index);
  const recent = age(component) < NEW;
  card.component = component;
  card.element.hidden = false;
  card.element.classList.toggle('new', recent && rank(component.status) >= rank('partial_outage'));
  paint(card.element, component.status);
  write(card.name, component.name);
  const { note } = component.element.querySelector('.name').dataset;
  write(card.what, [word(component.status), note ?? component.group].filter(Boolean).join(' · '));
  write(card.when, recent ? 'NEW' : `since ${clock.time(component.since).slice(0, 5)}`);
}

function drawQuiet() {
  if (problems.length || !board.all.length) return;
  write(quiet, span(live.now() / 1000 - Math.max(...board.all.map(({ since }) => since)) / 1000));
}

function drawLastProblem(changed) {
  const ended = changed.filter(({ component, was }) => rank(was) > 1 && !isProblem(component)).at(-1);
  if (!ended) return;
  find('.last').hidden = false;
  write(find('.last bdi'), ended.component.name);
  const at = clock.time(ended.component.since).slice(0, 5);
  write(find('.last small'), `${word(ended.was).toLowerCase()}, ended ${at}`);
}

// The head

function drawHead() {
  const incidents = openIncidents();
  const { status } = weigh(board.all, incidents);
  const stale = live.state === 'stale';
  paint(head, status, stale ? 'stale' : status);
  const [heading, detail] = stale ? ['No live data', capital(live.reason)] : say(incidents);
  write(find('.say h1'), heading);
  write(find('.say p'), detail);
  setTitle(stale ? STALE_SIGN : STATUSES[status].sign, heading, stale ? 'stale' : status);
  for (const item of document.querySelectorAll('.counts li')) {
    const count = board.all.filter((component) => component.status === item.dataset.status).length;
    item.dataset.count = count;
    write(item.querySelector('b'), String(count));
  }
  write(find('.freshness span'), { live: 'Live', retry: 'Connecting', stale: 'Not live' }[live.state]);
  write(find('.banner small'), `Last known state shown, ${live.remedy}`);
  drawSilence();
}

// As `say` of app/pages/wall.py.
function say(incidents) {
  const all = board.all;
  const resting = all.filter(({ status }) => status === 'under_maintenance').length;
  if (!all.length && !incidents.length) return ['Nothing is watched yet', 'What is named in the config file appears here'];
  if (problems.length) {
    const [first] = problems;
    const verb = problems.length === 1 ? 'needs' : 'need';
    return [`${problems.length} ${verb} attention`, `${first.name}: ${word(first.status).toLowerCase()}`];
  }
  const number = incidents.length;
  if (number) return [number === 1 ? 'Open incident' : `${number} open incidents`, incidents[0].title];
  if (resting) return ['Nothing needs attention', `${all.length - resting} operational, ${resting} in maintenance`];
  return [`All ${all.length} operational`, 'Nothing needs attention'];
}

function drawSilence() {
  if (live.state !== 'stale') return;
  write(find('.banner span'), `No live data for ${span((live.now() - live.known) / 1000)}`);
}

// The foot

function tick({ component, was }) {
  const ticker = find('.ticker');
  const item = ticker.lastElementChild;
  ticker.prepend(item);
  item.hidden = false;
  paint(item, component.status);
  write(item.querySelector('time'), clock.time(component.since));
  write(item.querySelector('b'), component.name);
  write(item.querySelector('span'), `${word(was).toLowerCase()} → ${word(component.status).toLowerCase()}`);
}

// One timer for all that moves with the clock.

let seconds = 0;
function everySecond() {
  const now = live.now();
  const time = clock.time(now);
  write(find('.clock b'), time.slice(0, 5));
  write(find('.clock time span'), time.slice(5));
  write(find('.clock .date'), clock.day(now));
  drawSilence();
  if (seconds % 5 === 0) drawAges();
  if (seconds % 5 === 0) drawQuiet();
  if (seconds % 60 === 0) drawRail();
  if (seconds % 180 === 0) drift(seconds / 180);
  seconds += 1;
}

function drift(step) {
  const [x, y] = DRIFT[step % DRIFT.length];
  document.body.style.setProperty('--drift-x', `${x}px`);
  document.body.style.setProperty('--drift-y', `${y}px`);
}

// For who stands at it

function toggleTheme() {
  const theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
  root.dataset.theme = theme;
  const address = new URL(location.href);
  address.searchParams.set('theme', theme);
  history.replaceState(null, '', address);
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else root.requestFullscreen?.().catch(() => {});
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 't') toggleTheme();
  if (event.key === 'f') toggleFullScreen();
});

let idle = 0;
addEventListener('pointermove', () => {
  document.body.classList.remove('idle');
  clearTimeout(idle);
  idle = setTimeout(() => document.body.classList.add('idle'), 3000);
});

// Only where the address is https or localhost, and only while the wall is seen. Elsewhere it is up to the kiosk.
function stayAwake() {
  if (!document.hidden) navigator.wakeLock?.request('screen').catch(() => {});
}

document.addEventListener('visibilitychange', stayAwake);
stayAwake();

new ResizeObserver(() => {
  layOut();
  drawRail();
  drawAges();
}).observe(floor);

layOut();
drawRail();
drawHead();
everySecond();
setInterval(everySecond, 1000);
document.body.dataset.ready = '';
live.start();
