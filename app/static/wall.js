// The wall at `/wall`. Places never move: the field is laid out once for a size, and problems come to the rail.
// It is on for months, so nothing here grows: elements are reused, lists are bounded.
import { Board, isProblem, openIncidents, weigh, worst } from './board.js';
import { Chime } from './chime.js';
import { Clock, span } from './time.js';
import { Diagnostics } from './diagnostics.js';
import { Hours } from './hours.js';
import { Live } from './live.js';
import { Rotation } from './rotation.js';
import { STALE_SIGN, capital, paint, setTitle, write } from './paint.js';
import { STATUSES, rank, word } from './status.js';
import { Stories } from './stories.js';
import { count } from './count.js';
import { hundredth, solve, unitFor, widthOf } from './layout.js';
import { isNight, settings, wrong } from './settings.js';
import { keepInThisTab } from './keep.js';
import { reload } from './reload.js';
import { fill, say } from './language.js';

const NEW = 600; // seconds for which a problem is called new
const FLASHES = 24; // at once
const POINTS = 40; // of a sparkline
// Heights in units, with the gap, as wall.css makes them.
const CARD = { tall: 19.6, compact: 12.6, long: 14.8, acknowledged: 9.2 };
const MORE = 4; // units for the line that counts those for whom there is no room
const RENEWALS_APART = 60e3; // milliseconds between two reloads for a new build
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
  element,
  heading: element.querySelector('h2 span').textContent,
  count: element.querySelector('h2 b'),
  members: board.all.filter((component) => component.group === element.dataset.group),
}));
const hours = new Hours(find('.hours'));
const chime = new Chime(settings.sound);
const age = (component) => live.now() / 1000 - component.since / 1000;
const isNew = (component) => !component.acknowledged && age(component) < NEW;
const isLoud = (component) => rank(component.status) >= rank('partial_outage');

let problems = [];
let reach = unitFor(settings); // the unit in pixels, and how far away it can be read

function hear(frame) {
  board.hear(frame);
  stories.hear(frame);
  if (frame.incidents) drawHead();
}

function draw({ changed, measured, noted }) {
  for (const { component, ms } of measured) drawLatency(component, ms);
  // Who is on it is said on the card of a problem, and in the head.
  if (noted && !changed.length) drawProblems();
  if (!changed.length) return;
  for (const { component } of changed) paint(component.element, component.status);
  for (const change of changed.slice(-6)) tick(change);
  keepLastProblem(changed);
  if (!calm.matches) for (const { component } of changed.slice(0, FLASHES)) flash(component.element);
  drawGroups();
  drawProblems();
  drawAges();
  if (changed.some(({ component }) => isLoud(component) && !component.acknowledged)) chime.ring();
}

function drawProblems() {
  drawRail();
  drawHead();
  rotation.hold(urgent());
}

// The problem that a wall of several pages must show: the worst of those that nobody has seen for long.
const urgent = () => problems.find(isNew);

function flash(element) {
  const outline = (colour) => ({ outline: `4px solid ${colour}`, outlineOffset: '-4px' });
  element.animate([outline('currentColor'), outline('transparent')], 1600);
}

// The field

function layOut() {
  const split = solve({
    width: field.clientWidth,
    height: field.clientHeight,
    unit: hundredth(),
    groups: rotation.page.map(({ heading, members }) => ({ name: heading, names: members.map(({ name }) => name) })),
    named: settings.names,
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

function turn(page) {
  for (const group of groups) group.element.hidden = !page.includes(group);
  layOut();
  drawAges();
  const { at, pages } = rotation;
  find('.page').hidden = pages.length < 2;
  write(find('.page'), `${at + 1} / ${pages.length}`);
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
  const card = { element, name: part('.name'), age: part('.age'), what: part('.what'), when: part('.when bdi') };
  cards.push(card);
  return card;
}

function drawRail() {
  problems = board.all.filter(isProblem).sort(byUrgency);
  rail.dataset.problems = problems.length;
  const height = (upright.matches ? innerHeight * 0.34 : floor.clientHeight) / reach.unit;
  const { kind, fit } = chooseCards(height);
  const { number, taken } = countCards(kind, height);
  rail.dataset.cards = kind;
  rail.style.setProperty('--scale', Math.max(1, Math.min(1.3, fit, height / (taken || 1))));
  problems.slice(0, number).forEach(drawProblem);
  for (const card of cards.slice(number)) {
    card.element.hidden = true;
    card.component = null;
  }
  const more = problems.length - number;
  write(find('.more'), more ? say('+ {number} more', { number: more }) : '');
  drawQuiet();
}

// Whom nobody has taken care of first, then the worst, then the newest.
function byUrgency(a, b) {
  return !b.acknowledged - !a.acknowledged || rank(b.status) - rank(a.status) || b.since - a.since;
}

// Tall ones as long as there is room for all; else compact ones, of which the names have a line of their own if they
// need it. `fit` is the scale at which names fit: they are never smaller than what can be read from afar.
function chooseCards(height) {
  const width = rail.clientWidth / reach.unit;
  const widest = Math.max(4, ...problems.slice(0, 7).map(({ name }) => widthOf(name, 640))) * 4.7;
  if (countCards('tall', height).number === problems.length) return { kind: 'tall', fit: width / (widest + 11.5) };
  const fit = width / (widest + 26);
  return { kind: fit < 1 ? 'long' : 'compact', fit };
}

// One card is always there.
function countCards(kind, height) {
  let number = 0;
  let taken = 0;
  for (const problem of problems) {
    const its = CARD[problem.acknowledged ? 'acknowledged' : kind];
    const room = height + 1 - (number < problems.length - 1 ? MORE : 0);
    if (number && taken + its > room + 0.01) break;
    taken += its;
    number += 1;
  }
  return { number, taken: taken + (number < problems.length ? MORE : 0) };
}

function drawProblem(component, index) {
  const card = cardAt(index);
  const { acknowledged, status, since, name, group, element } = component;
  card.component = component;
  card.element.hidden = false;
  card.element.classList.toggle('new', isNew(component) && isLoud(component));
  card.element.classList.toggle('acknowledged', acknowledged !== '');
  paint(card.element, status);
  write(card.name, name);
  // The note ends with who is on it, and that has its own place.
  const note = (element.querySelector('.name').dataset.note ?? '').slice(0, acknowledged ? -acknowledged.length : undefined);
  write(card.what, [word(status), note.replace(/, $/, '') || group].filter(Boolean).join(' · '));
  write(card.when, acknowledged || (isNew(component) ? say('NEW') : say('since {time}', { time: clock.time(since).slice(0, 5) })));
}

function drawQuiet() {
  if (problems.length || !board.all.length) return;
  hours.draw();
  write(quiet, span(live.now() / 1000 - Math.max(...board.all.map(({ since }) => since)) / 1000));
  const next = find('.story[data-kind="maintenance"][data-status="scheduled"]');
  find('.next').hidden = !next;
  if (!next) return;
  write(find('.next bdi'), next.querySelector('.title').textContent);
  write(find('.next small'), clock.moment(Date.parse(next.dataset.starts)));
}

// It began when the first of its states did, and is told by the worst of them: what goes down and what comes back
// often passes through others.
function keepLastProblem(changed) {
  for (const { component, was, before } of changed) {
    if (rank(was) > rank('under_maintenance')) {
      component.trouble ??= { was, began: before };
      if (rank(was) > rank(component.trouble.was)) component.trouble.was = was;
    }
    if (!component.trouble || isProblem(component)) continue;
    const last = { name: component.name, ...component.trouble, ended: component.since };
    component.trouble = null;
    // The next build of this wall is to know it too.
    keepInThisTab.set('last-problem', JSON.stringify(last));
    drawLastProblem(last);
  }
}

function drawLastProblem({ name, was, began, ended }) {
  find('.last').hidden = false;
  write(find('.last bdi'), name);
  const when = clock.recent(ended, live.now()).replace(/(:\d\d):\d\d/, '$1');
  const said = { status: word(was), time: span((ended - began) / 1000), when };
  write(find('.last small'), say('{status} for {time}, ended {when}', said));
}

// The head

let fitted = ''; // what the head was last measured with: on a wall of a thousand it is not done for each frame

// Where type is large for the screen, or the sentence long for its place, what there is none of goes.
function fitHead() {
  const heading = find('.say h1');
  document.body.toggleAttribute('data-narrow', innerWidth < 140 * reach.unit);
  document.body.removeAttribute('data-long');
  document.body.toggleAttribute('data-long', heading.scrollWidth > heading.clientWidth);
}

function drawHead() {
  const incidents = openIncidents();
  const { status } = weigh(board.all, incidents);
  const stale = live.state === 'stale';
  paint(head, status, stale ? 'stale' : status);
  const [heading, detail] = stale ? [say('No live data'), capital(say(live.reason))] : sentence(incidents);
  write(find('.say h1'), heading);
  write(find('.say p'), detail);
  setTitle(stale ? STALE_SIGN : STATUSES[status].sign, heading, stale ? 'stale' : status);
  for (const item of document.querySelectorAll('.counts li')) {
    const count = board.all.filter((component) => component.status === item.dataset.status).length;
    item.dataset.count = count;
    write(item.querySelector('b'), String(count));
  }
  const fills = heading + find('.counts').textContent.replace(/\d/g, '0');
  if (fitted !== fills) fitHead();
  fitted = fills;
  write(find('.freshness span'), freshness());
  write(find('.banner small'), say('Last known state shown, {remedy}', { remedy: say(live.remedy) }));
  drawSilence();
}

// As `sentence` of app/pages/wall.py.
function sentence(incidents) {
  const all = board.all;
  const resting = all.filter(({ status }) => status === 'under_maintenance').length;
  const number = all.length - resting;
  if (!all.length && !incidents.length) return [say('Nothing is watched yet'), say('What is named in the config file appears here')];
  if (problems.length) return ofProblems();
  if (incidents.length) {
    const many = count(incidents.length, '{number} open incident', '{number} open incidents');
    return [incidents.length === 1 ? say('Open incident') : many, fill('{title}', { title: incidents[0].title })];
  }
  const nothing = say('Nothing needs attention');
  if (resting) return [nothing, say('{number} operational, {resting} in maintenance', { number, resting })];
  return [say('All {number} operational', { number }), nothing];
}

const freshness = () => ({ live: say('Live'), retry: say('Connecting'), stale: say('Not live') })[live.state];

function ofProblems() {
  const [first] = problems;
  const waiting = problems.filter(({ acknowledged }) => !acknowledged).length;
  const heading = waiting
    ? count(waiting, '{number} needs attention', '{number} need attention')
    : say('{number} in hand', { number: problems.length });
  const said = [
    say('{component}: {status}', { component: first.name, status: word(first.status) }),
    first.acknowledged && fill('{words}', { words: first.acknowledged }),
  ];
  return [heading, said.filter(Boolean).join(', ')];
}

function drawSilence() {
  if (live.state !== 'stale') return;
  write(find('.banner span'), say('No live data for {time}', { time: span((live.now() - live.known) / 1000) }));
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
  write(item.querySelector('span'), say('{was} → {status}', { was: word(was), status: word(component.status) }));
}

// As `say_unfit` of app/pages/wall.py. Before the first beat the server's own words stand.
function drawUnfit() {
  if (!live.unfit) return;
  const regions = Object.keys(live.unfit).join(', ');
  const number = Object.values(live.unfit).reduce((sum, workers) => sum + workers, 0);
  find('.unfit').hidden = !number;
  write(find('.unfit'), count(number, '{number} worker is not fit to judge: {regions}', '{number} workers are not fit to judge: {regions}', { regions }));
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
  drawUnfit();
  // Of a wall that hears nothing nobody knows how it stands, and before the first beat not even what time it is.
  if (live.unfit) hours.note(live.state === 'stale' ? null : worst(board.all), now);
  if (seconds % 5 === 0) drawAges();
  if (seconds % 5 === 0) drawQuiet();
  if (seconds % 60 === 0) drawProblems();
  if (seconds % 180 === 0) drift(seconds / 180);
  drawNight(time);
  rotation.pass(urgent());
  diagnostics.draw();
  renew();
  seconds += 1;
}

// Not over what nobody has seen yet.
function drawNight(time) {
  const isDark = settings.night !== null && isNight(settings.night, time) && !(problems.some((one) => isNew(one) && isLoud(one)));
  root.toggleAttribute('data-night', isDark);
}

// The server has another build of this page: load it, each wall at a time of its own. While two builds answer at one
// address it would find the old one again and again, so not more often than once a minute.
let renewing = false;
function renew() {
  if (renewing || !live.build || live.build === root.dataset.build) return;
  if (Date.now() - Number(keepInThisTab.get('renewed')) < RENEWALS_APART) return;
  renewing = true;
  keepInThisTab.set('renewed', String(Date.now()));
  setTimeout(() => reload(), Math.random() * 4000 * root.dataset.beat);
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

const KEYS = {
  t: toggleTheme,
  f: toggleFullScreen,
  m: () => (chime.on = !chime.on),
  s: () => chime.play(),
  d: () => diagnostics.toggle(),
  ArrowRight: () => rotation.turn(1),
  ArrowLeft: () => rotation.turn(-1),
};

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  KEYS[event.key]();
  diagnostics.draw();
});

let idle = 0;
addEventListener('pointermove', () => {
  document.body.classList.remove('idle');
  clearTimeout(idle);
  idle = setTimeout(() => document.body.classList.add('idle'), 3000);
});

// Only where the address is https or localhost, and only while the wall is seen. Elsewhere it is up to the kiosk.
let lock = null;
async function stayAwake() {
  if (!document.hidden) lock = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null;
}

document.addEventListener('visibilitychange', stayAwake);
stayAwake();

const way = (link) => (link instanceof WebSocket ? 'WebSocket' : link ? 'SSE' : '–');

// What somebody wants to know who wonders about this screen.
const diagnostics = new Diagnostics(find('.diagnostics'), () => ({
  [say('Link')]: say('{way}, {state}, last frame {time} ago', {
    way: way(live.link),
    state: freshness(),
    time: span((performance.now() - live.lastFrame) / 1000),
  }),
  [say('Probes')]: say('last heard {time} ago', { time: span((live.now() - live.known) / 1000) }),
  [say('Build')]: live.build && live.build !== root.dataset.build
    ? say('{build}, the server has {other}', { build: root.dataset.build, other: live.build })
    : root.dataset.build,
  [say('Running for')]: span(performance.now() / 1000),
  [say('Memory')]: performance.memory
    ? `${(performance.memory.usedJSHeapSize / 1e6).toFixed(1)} MB`
    : say('this browser does not tell'),
  [say('Screen')]: say('{size}, {diagonal} inches: names of problems can be read from {distance}', {
    size: `${innerWidth} x ${innerHeight}`,
    diagonal: settings.diagonal,
    distance: `${reach.sight.toFixed(1)} m`,
  }),
  [say('Awake')]: lock && !lock.released
    ? say('held awake')
    : say('may go to sleep: needs https or localhost, else set it on the machine'),
  [say('Sound')]: chime.state,
  [say('Keys')]: say('{d} this, {f} full screen, {t} theme, {m} sound on or off, {s} hear it, {arrows} turn pages', {
    d: 'd', f: 'f', t: 't', m: 'm', s: 's', arrows: '← →',
  }),
}));

function place() {
  reach = unitFor(settings);
  document.body.style.setProperty('--unit', `${reach.unit}px`);
  fitHead();
  layOut();
  drawRail();
  drawAges();
}

const rotation = new Rotation(groups, settings.pages, settings.every, turn, wrong);
new ResizeObserver(place).observe(floor);
addEventListener('resize', place);

place();
if (rotation.pages.length > 1) turn(rotation.page);
const last = keepInThisTab.get('last-problem');
if (last) drawLastProblem(JSON.parse(last));
find('.wrong').hidden = !wrong.length;
write(find('.wrong'), wrong.length ? say('In the address: {mistakes}.', { mistakes: wrong.join('; ') }) : '');
drawHead();
everySecond();
setInterval(everySecond, 1000);
document.body.dataset.ready = '';
live.start();
