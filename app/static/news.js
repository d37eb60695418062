// What changes a page for visitors: frames become rows, groups and the sentence above them, as the server would have
// drawn them. Loaded by page.js with the first change.
import { Board, isProblem, openIncidents, weigh, worst } from './board.js';
import { Stories } from './stories.js';
import { STATUSES, rank, word } from './status.js';
import { count } from './count.js';
import { paint, write } from './paint.js';
import { renew } from './renew.js';
import { say } from './language.js';

const root = document.documentElement;
const place = document.querySelector('.stories');
const past = document.getElementById('past');
const started = document.querySelector('.started');
const groups = [...document.querySelectorAll('.group')];
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const FLASHES = 24; // at once; more would be a fire alarm
const SETTLED = 6e3; // milliseconds after which the past is read again: more than AGAIN of app/pages/past.py
// As HEADLINE of app/pages/sentences.py.
const HEADLINE = {
  under_maintenance: 'Maintenance: {components}',
  unknown: 'State unknown: {components}',
  degraded_performance: 'Degraded performance: {components}',
  partial_outage: 'Partial outage: {components}',
  major_outage: 'Major outage: {components}',
};

export class News {
  #hero;
  #times;
  #board;
  #stories;
  #renewing = false;

  constructor(hero, times) {
    this.#hero = hero;
    this.#times = times;
    this.#board = new Board(document.querySelectorAll('.component'), '', (painted) => this.#draw(painted));
    const name = (slug) => this.#board.components.get(slug)?.name;
    this.#stories = place && new Stories(name, (at) => times.clock.moment(at));
  }

  hear(frame) {
    this.#board.hear(frame);
    if (tellsStories(frame)) {
      this.#stories.hear(frame);
      this.#sumUp();
    }
    if (past && isOfPast(frame)) this.#renew();
  }

  // What is over, only the server can draw: it comes out of the database, which has it a moment later than we. Spread,
  // as all who look will ask.
  #renew() {
    if (this.#renewing) return;
    this.#renewing = true;
    setTimeout(async () => {
      this.#renewing = false;
      await renew(past.id);
      this.#times.drawAll();
    }, SETTLED * (1 + Math.random()));
  }

  #draw({ changed }) {
    for (const { component, was } of changed) this.#drawRow(component, was);
    if (!calm.matches) for (const { component } of changed.slice(0, FLASHES)) flash(component.element);
    for (const group of groups) this.#drawGroup(group);
    this.#sumUp();
  }

  #drawRow(component, was) {
    const { element, status } = component;
    paint(element, status);
    write(element.querySelector('.word'), word(status));
    this.#times.draw(element.querySelector('time'), component.since);
    // What a visitor has opened stays open, and what they have closed stays closed until something in it gets
    // worse.
    const group = element.closest('.group');
    if (group && isProblem(component) && rank(status) > rank(was)) group.open = true;
  }

  #drawGroup(group) {
    const members = this.#board.all.filter((component) => component.group === group.dataset.group);
    const status = worst(members);
    const problem = rank(status) > rank('under_maintenance');
    const summary = group.querySelector('summary');
    paint(summary, status);
    write(summary.querySelector('.word'), problem && members.length > 1 ? sumUp(members) : word(status));
  }

  #sumUp() {
    if (!started) return;
    const all = this.#board.all;
    const open = openIncidents();
    const told = root.dataset.part === 'story' ? ofStory(open) : ofAll(all, open);
    this.#hero.tell(STATUSES[told.status].sign, told);
    const bad = [...all, ...open].filter((one) => isProblem(one) && one.status === told.status);
    started.hidden = bad.length === 0;
    if (bad.length) this.#times.draw(started.querySelector('time'), Math.min(...bad.map(({ since }) => since)));
  }
}

function isOfPast({ type, why, components, incidents = [], maintenances = [] }) {
  if (type === 'snapshot') return why !== 'first';
  const told = [...incidents, ...maintenances];
  if (root.dataset.part) return components || told.length;
  return told.some(({ removed, resolved, status }) => removed || resolved || status === 'completed');
}

function tellsStories({ type, incidents, maintenances }) {
  const gone = type === 'snapshot' && document.querySelector('.story');
  return place && (incidents?.length || maintenances?.length || gone);
}

function flash(element) {
  element.animate([{ backgroundColor: 'color-mix(in oklab, var(--status) 30%, transparent)' }, {}], 1600);
}

function ofAll(all, open) {
  const { status, incidents } = weigh(all, open);
  return { status, about: headline(all, status, incidents), below: tally(all, incidents) };
}

// As `stands` of app/pages/stories.py.
function ofStory([open]) {
  const story = document.querySelector('.story');
  const { kind, over } = story.dataset;
  const status = over !== undefined ? 'operational' : kind === 'incident' ? open.status : 'under_maintenance';
  return { status, about: story.querySelector('.title').textContent, below: story.querySelector('.stage').textContent };
}

// The sentences are those of app/pages/sentences.py.

function headline(all, status, incidents) {
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

const isAffected = ({ status }) => rank(status) >= rank('degraded_performance');
const number = (components, wanted) => components.filter(wanted).length;

function sumUp(members) {
  const all = members.length;
  const some = number(members, isAffected);
  if (some) return say('{some} of {all} affected', { some, all });
  return say('{some} of {all} unknown', { some: number(members, ({ status }) => status === 'unknown'), all });
}

function tally(all, incidents) {
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
