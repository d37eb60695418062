// The pages for visitors. The server has drawn them; this keeps true what says how things stand now.
import { Board, STALE_SIGN, STATUSES, capital, isProblem, openIncidents, paint, rank, setTitle, weigh, word, worst, write } from './board.js';
import { Clock, ago, span } from './time.js';
import { Live } from './live.js';
import { count, say } from './language.js';
import { keep } from './keep.js';

const root = document.documentElement;
const hero = document.querySelector('.hero');
const place = document.querySelector('.stories');
const past = document.getElementById('past');
const groups = [...document.querySelectorAll('.group')];
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const FLASHES = 24; // at once; more would be a fire alarm
const POINTING = ['pointerover', 'focusin'];
const SETTLED = 6e3; // milliseconds after which the past is read again: more than AGAIN of app/pages/past.py
const SILENCE = 10e3; // between two announcements to a screen reader
// As HEADLINE of app/pages/sentences.py.
const HEADLINE = {
  under_maintenance: 'Maintenance: {components}',
  unknown: 'State unknown: {components}',
  degraded_performance: 'Degraded performance: {components}',
  partial_outage: 'Partial outage: {components}',
  major_outage: 'Major outage: {components}',
};

const clock = new Clock(root.dataset.zone);
const board = new Board(document.querySelectorAll('.component'), '', draw);
const live = new Live(hear, drawHero);

function hear(frame) {
  board.hear(frame);
  if (tellsStories(frame)) tell(frame);
  if (past && isOfPast(frame)) renew();
}

// What is over, only the server can draw: it comes out of the database, which has it a moment later than we. Spread,
// as all who look will ask.
let renewing = false;
function renew() {
  if (renewing) return;
  renewing = true;
  setTimeout(async () => {
    renewing = false;
    await (await import('./renew.js')).renew(past.id);
    drawTimes();
  }, SETTLED * (1 + Math.random()));
}

function isOfPast({ type, why, components, incidents = [], maintenances = [] }) {
  if (type === 'snapshot') return why !== 'first';
  const told = [...incidents, ...maintenances];
  if (root.dataset.part) return components || told.length;
  return told.some(({ removed, resolved, status }) => removed || resolved || status === 'completed');
}

// The server has drawn the incidents that there were. What they become is loaded when the first frame tells of it.
let stories = null;
async function tell(frame) {
  stories ??= import('./stories.js').then(
    ({ Stories }) => new Stories((slug) => board.components.get(slug)?.name, (at) => clock.moment(at)),
  );
  (await stories).hear(frame);
  drawHero();
}

function tellsStories({ type, incidents, maintenances }) {
  const gone = type === 'snapshot' && document.querySelector('.story');
  return place && (incidents?.length || maintenances?.length || gone);
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
  write(summary.querySelector('.word'), problem && members.length > 1 ? sumUp(members) : word(status));
}

function drawHero() {
  if (!hero) return drawUnlive();
  const incidents = openIncidents();
  const { status, about, below } = root.dataset.part === 'story' ? ofStory() : ofAll(incidents);
  const stale = live.state === 'stale';
  const sentence = stale ? say('Not live: {reason}', { reason: say(live.reason) }) : about;
  const heading = hero.querySelector('h1');
  paint(hero, status, stale ? 'stale' : status);
  if (heading.textContent !== sentence) {
    write(heading, sentence);
    announce(sentence);
  }
  write(hero.querySelector('.tally'), stale ? lastKnown(status, about) : below);
  setTitle(stale ? STALE_SIGN : STATUSES[status].sign, sentence, stale ? 'stale' : status);
  drawFreshness();
  drawStarted(status, incidents);
}

// A page that says nothing of now has no hero, but it too may be old.
function drawUnlive() {
  const stale = live.state === 'stale';
  const note = document.querySelector('.unlive span');
  note.hidden = !stale;
  write(note, stale ? say('Not live: {reason}', { reason: say(live.reason) }) : '');
  document.title = `${stale ? STALE_SIGN : ''} ${document.title.replace(`${STALE_SIGN} `, '')}`;
}

function ofAll(open) {
  const { status, incidents } = weigh(board.all, open);
  return { status, about: headline(status, incidents), below: tally(status, incidents) };
}

// As `stands` of app/pages/stories.py.
function ofStory() {
  const story = document.querySelector('.story');
  const { kind, over } = story.dataset;
  const [open] = openIncidents();
  const status = over !== undefined ? 'operational' : kind === 'incident' ? open.status : 'under_maintenance';
  return { status, about: story.querySelector('.title').textContent, below: story.querySelector('.stage').textContent };
}

// The sentences are those of app/pages/sentences.py.

function headline(status, incidents) {
  const all = board.all;
  if (root.dataset.component) return say('{component}: {status}', { component: all[0].name, status: word(status) });
  const { length } = incidents;
  if (length === 1) return say('Open incident: {title}', incidents[0]);
  if (length) return count(length, '{number} open incident', '{number} open incidents');
  if (!all.length) return say('Nothing is watched yet');
  if (status === 'operational') return say('All systems operational');
  const names = all.filter((component) => component.status === status).map(({ name }) => name);
  return say(HEADLINE[status], { components: spell(names, all.length) });
}

function spell(names, of) {
  const [one, other] = names;
  if (names.length === 1) return one;
  if (names.length === 2) return say('{one} and {other}', { one, other });
  if (names.length === of) return count(of, 'all {number} component', 'all {number} components');
  return count(names.length, '{number} component', '{number} components');
}

function lastKnown(status, sentence) {
  const time = clock.recent(live.known, live.now());
  if (status === 'unknown') return say('Nothing heard since {time}', { time });
  return say('Last known state, from {time}: {sentence}', { time, sentence });
}

const isAffected = ({ status }) => rank(status) >= rank('degraded_performance');
const number = (components, wanted) => components.filter(wanted).length;

function sumUp(members) {
  const all = members.length;
  const some = number(members, isAffected);
  if (some) return say('{some} of {all} affected', { some, all });
  return say('{some} of {all} unknown', { some: number(members, ({ status }) => status === 'unknown'), all });
}

function tally(status, incidents) {
  const all = board.all;
  if (root.dataset.component) return all[0].group ?? '';
  if (!all.length) return say('No component has been added');
  const stands = worst(all);
  if (stands === 'operational' && incidents.length) return say('No component is known to be affected');
  const texts = {
    operational: ['The one component works', 'All {number} components work'],
    under_maintenance: ['{some} of {number} component in maintenance', '{some} of {number} components in maintenance'],
    unknown: ['{some} of {number} component unknown', '{some} of {number} components unknown'],
  }[stands] ?? ['{some} of {number} component affected', '{some} of {number} components affected'];
  const some = number(all, rank(stands) > rank('unknown') ? isAffected : (component) => component.status === stands);
  return count(all.length, ...texts, { some });
}

let met = false;
function drawFreshness() {
  met ||= live.state === 'live';
  const freshness = hero.querySelector('.freshness span');
  if (live.state === 'live') write(freshness, say('Live – no need to reload'));
  // Until the first frame the server's own words stand: as of when it drew this.
  else if (met || live.state === 'stale') write(freshness, `${capital(say(live.remedy))}${live.refused ? '' : '…'}`);
}

function drawStarted(status, incidents) {
  const bad = [...board.all, ...incidents].filter((one) => isProblem(one) && one.status === status);
  const started = hero.querySelector('.started');
  started.hidden = bad.length === 0;
  if (bad.length) drawTime(started.querySelector('time'), Math.min(...bad.map(({ since }) => since)));
}

function drawTimes() {
  for (const { element, since } of board.all) drawTime(element.querySelector('time'), since);
  const began = hero?.querySelector('.started:not([hidden]) time');
  if (began) drawTime(began, Date.parse(began.dateTime));
  for (const time of document.querySelectorAll('[data-reads="at"][datetime]')) write(time, clock.moment(Date.parse(time.dateTime)));
}

// Both may change: the instant that is meant, and how long ago that is.
function drawTime(time, at) {
  const seconds = (live.now() - at) / 1000;
  time.dateTime = new Date(at).toISOString();
  time.title = clock.moment(at);
  write(time, time.dataset.reads === 'ago' || seconds < 60 ? ago(seconds) : say('for {time}', { time: span(seconds) }));
}

let announced = -Infinity;
let announcing = 0;
function announce(text) {
  clearTimeout(announcing);
  const speak = () => {
    announced = performance.now();
    write(document.getElementById('said'), text);
  };
  announcing = setTimeout(speak, Math.max(100, announced + SILENCE - performance.now()));
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
});
// What days have to say is loaded when somebody first points at one.
for (const card of document.querySelectorAll('[data-day]')) {
  const point = async ({ target }) => {
    if (!target.closest?.('.component .bar')) return;
    for (const event of POINTING) card.removeEventListener(event, point);
    (await import('./bars.js')).watchBars(card, announce);
  };
  for (const event of POINTING) card.addEventListener(event, point);
}
document.getElementById('language').addEventListener('change', ({ target }) => target.form.submit());
addEventListener('beforeprint', () => document.querySelectorAll('.group').forEach((group) => (group.open = true)));
setInterval(drawTimes, 10e3);
if (hero || past) live.start();
