// The page at `/`. The server has drawn it; this keeps it true.
import { Board, STALE_SIGN, STATUSES, capital, isProblem, paint, rank, setTitle, word, worst, write } from './board.js';
import { Clock, ago, span } from './time.js';
import { Live } from './live.js';
import { Stories } from './stories.js';
import { keep } from './keep.js';
import { watchBars } from './bars.js';

const root = document.documentElement;
const hero = document.querySelector('.hero');
const heading = hero.querySelector('h1');
const tally = hero.querySelector('.tally');
const started = hero.querySelector('.started');
const freshness = hero.querySelector('.freshness span');
const groups = [...document.querySelectorAll('.group')];
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const FLASHES = 24; // at once; more would be a fire alarm
const SILENCE = 10e3; // between two announcements to a screen reader

const board = new Board(document.querySelectorAll('.component'), hero.dataset.sentence, draw);
const live = new Live(hear, drawHero);
const clock = new Clock(root.dataset.zone);
const stories = new Stories((slug) => board.components.get(slug)?.name, (at) => clock.moment(at));

function hear(frame) {
  board.hear(frame);
  stories.hear(frame);
}

function draw({ changed }) {
  for (const { component, was } of changed) drawRow(component, was);
  if (!calm.matches) for (const { component } of changed.slice(0, FLASHES)) flash(component.element);
  for (const group of groups) drawGroup(group);
  drawHero();
}

function drawRow(component, was) {
  const { element, status } = component;
  paint(element, status);
  write(element.querySelector('.word'), word(status));
  drawTime(element.querySelector('time'), component.since);
  // What a visitor has opened stays open, and what they have closed stays closed until something in it gets
  // worse.
  const group = element.closest('.group');
  if (group && isProblem(component) && rank(status) > rank(was)) group.open = true;
}

function flash(element) {
  element.animate([{ backgroundColor: 'color-mix(in oklab, var(--status) 30%, transparent)' }, {}], 1600);
}

function drawGroup(group) {
  const members = board.all.filter((component) => component.group === group.dataset.group);
  const status = worst(members);
  const problem = rank(status) > rank('under_maintenance');
  const summary = group.querySelector('summary');
  paint(summary, status);
  write(summary.querySelector('.word'), problem && members.length > 1 ? count(members) : word(status));
}

function drawHero() {
  const status = worst(board.all);
  const stale = live.state === 'stale';
  const sentence = stale ? `Not live: ${live.reason}` : board.sentence;
  paint(hero, status, stale ? 'stale' : status);
  if (heading.textContent !== sentence) {
    write(heading, sentence);
    announce(sentence);
  }
  write(tally, stale ? lastKnown(status) : countAll());
  setTitle(stale ? STALE_SIGN : STATUSES[status].sign, sentence, stale ? 'stale' : status);
  drawFreshness();
  drawStarted(status);
}

// As `last_known` of app/pages/public.py.
function lastKnown(status) {
  const at = clock.recent(live.known, live.now());
  return status === 'unknown' ? `Nothing heard since ${at}` : `Last known state, from ${at}: ${board.sentence}`;
}

let met = false;
function drawFreshness() {
  met ||= live.state === 'live';
  if (live.state === 'live') write(freshness, 'Live – no need to reload');
  // Until the first frame the server's own words stand: as of when it drew this.
  else if (met || live.state === 'stale') write(freshness, `${capital(live.remedy)}${live.refused ? '' : '…'}`);
}

function drawStarted(status) {
  const bad = board.all.filter((component) => isProblem(component) && component.status === status);
  started.hidden = bad.length === 0;
  if (bad.length) drawTime(started.querySelector('time'), Math.min(...bad.map(({ since }) => since)));
}

// As `count` and `tally` of app/pages/rows.py.
function count(components, noun = '') {
  const number = (wanted) => components.filter(wanted).length;
  const affected = number(({ status }) => rank(status) >= rank('degraded_performance'));
  const unknown = number(({ status }) => status === 'unknown');
  const of = `of ${components.length}${noun}`;
  if (affected) return `${affected} ${of} affected`;
  if (unknown) return `${unknown} ${of} unknown`;
  return `${number(({ status }) => status === 'under_maintenance')} ${of} in maintenance`;
}

function countAll() {
  const all = board.all;
  if (!all.length) return 'No component has been added';
  if (worst(all) !== 'operational') return count(all, all.length === 1 ? ' component' : ' components');
  return all.length > 1 ? `All ${all.length} components work` : 'The one component works';
}

function drawTimes() {
  for (const { element, since } of board.all) drawTime(element.querySelector('time'), since);
  const time = started.querySelector('time');
  if (!started.hidden) drawTime(time, Date.parse(time.dateTime));
}

// Both may change: the instant that is meant, and how long ago that is.
function drawTime(time, at) {
  const seconds = (live.now() - at) / 1000;
  time.dateTime = new Date(at).toISOString();
  time.title = clock.moment(at);
  write(time, time.dataset.reads === 'ago' || seconds < 60 ? ago(seconds) : `for ${span(seconds)}`);
}

let announced = -Infinity;
let announcing = 0;
function announce(text) {
  clearTimeout(announcing);
  const say = () => {
    announced = performance.now();
    write(document.getElementById('said'), text);
  };
  announcing = setTimeout(say, Math.max(100, announced + SILENCE - performance.now()));
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

choose('theme', (theme) => {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
});
choose('zone', (zone) => {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  clock.set(zone === 'here' ? here : zone || root.dataset.zone);
  drawTimes();
  stories.drawTimes();
});
for (const card of document.querySelectorAll('[data-day]')) watchBars(card, announce);
addEventListener('beforeprint', () => document.querySelectorAll('.group').forEach((group) => (group.open = true)));
setInterval(drawTimes, 10e3);
live.start();
