// apply: frames become the state of what is drawn. A burst of frames is one paint, in which the last value of
// each component wins, so nothing here grows with time.

import { STATUSES, rank } from './status.js';
import { keepInThisTab } from './keep.js';
import { reload } from './reload.js';
import { say } from './language.js';

const root = document.documentElement;

// Worth a look: whatever is worse than planned work.
export const isProblem = (component) => rank(component.status) > rank('under_maintenance');
// A page without components has seen nothing, so it is unknown and not operational.
export function worst(components) {
  const statuses = components.map(({ status }) => status);
  return statuses.reduce((one, other) => (rank(other) > rank(one) ? other : one), statuses[0] ?? 'unknown');
}

// As FELT and `weigh` of app/domain/status.py: how all of it stands, and the open incidents if they say so rather than
// the components. What is open is what is drawn.
const FELT = { none: 'operational', minor: 'degraded_performance', major: 'partial_outage', critical: 'major_outage' };
export function openIncidents() {
  return [...document.querySelectorAll('.story[data-kind="incident"]:not([data-over])')].map((element) => {
    const { impact, starts } = element.dataset;
    const title = element.querySelector('.title').textContent;
    return { title, status: FELT[impact], since: Date.parse(starts) };
  });
}

export function weigh(components, incidents) {
  const stands = worst(components);
  const status = worst([{ status: stands }, ...incidents]);
  const silent = !components.length || stands === 'operational';
  return { status, incidents: status !== stands || silent ? incidents : [] };
}

export class Board {
  components = new Map();
  sentence;
  #draw;
  #changes = new Map();
  #latency = new Map();
  #notes = new Map();
  #waiting = 0;

  // `elements` have data-slug, data-status, a .name and a <time> since when. `draw` is given what one paint is to
  // show: `changed` statuses, `measured` milliseconds, and whether anything else is `noted` beside a status.
  constructor(elements, sentence, draw) {
    for (const element of elements) {
      const { slug, status } = element.dataset;
      const group = element.closest('[data-group]')?.dataset.group ?? null;
      const name = element.querySelector('.name').textContent;
      const since = Date.parse(element.querySelector('time').dateTime);
      const { acknowledged = '' } = element.dataset;
      this.components.set(slug, { slug, name, group, status, since, acknowledged, element });
    }
    this.sentence = sentence;
    this.#draw = draw;
    // Nothing is painted in a hidden tab, but its title and icon are what its owner sees of it.
    document.addEventListener('visibilitychange', () => document.hidden && this.#waiting && this.#apply());
  }

  get all() {
    return [...this.components.values()];
  }

  hear(frame) {
    if (frame.type === 'snapshot') {
      const drawn = 'part' in root.dataset ? frame.components.filter(({ slug }) => this.components.has(slug)) : frame.components;
      if (describe(drawn) === describe(this.all)) keepInThisTab.set('reloaded-for', '');
      else reloadOnce(drawn);
      for (const { slug, note, acknowledged } of frame.components) this.#note(slug, note, acknowledged);
    }
    for (const [slug, note] of Object.entries(frame.notes ?? {})) {
      this.#note(slug, note, frame.acknowledged?.[slug]);
    }
    for (const change of frame.components ?? []) {
      if (this.components.has(change.slug) && change.status in STATUSES) this.#changes.set(change.slug, change);
    }
    for (const [slug, ms] of Object.entries(frame.latency ?? {})) {
      if (this.components.has(slug)) this.#latency.set(slug, ms);
    }
    if (frame.status) this.sentence = frame.status.description;
    if (document.hidden) this.#apply();
    else this.#waiting ||= requestAnimationFrame(() => this.#apply());
  }

  #note(slug, note = '', acknowledged = '') {
    if (this.components.has(slug)) this.#notes.set(slug, { note, acknowledged });
  }

  #apply() {
    cancelAnimationFrame(this.#waiting);
    this.#waiting = 0;
    const changed = [];
    for (const { slug, status, since } of this.#changes.values()) {
      const component = this.components.get(slug);
      const { status: was, since: before } = component;
      component.since = Date.parse(since);
      component.status = status;
      if (status !== was) changed.push({ component, was, before });
    }
    const measured = [];
    for (const [slug, ms] of this.#latency) measured.push({ component: this.components.get(slug), ms });
    // What is said beside a status: CSS shows it below the word, or where there is none, behind the name.
    for (const [slug, { note, acknowledged }] of this.#notes) {
      const component = this.components.get(slug);
      const { element } = component;
      component.acknowledged = acknowledged;
      if (acknowledged) element.dataset.acknowledged = acknowledged;
      else delete element.dataset.acknowledged;
      const place = element.querySelector('.state') ?? element.querySelector('.name');
      if (note) place.dataset.note = beside(note, acknowledged);
      else delete place.dataset.note;
    }
    const noted = this.#notes.size > 0;
    this.#notes.clear();
    this.#changes.clear();
    this.#latency.clear();
    this.#draw({ changed, measured, noted });
  }
}

const NOTE = /^(?:affected by (.+?))?(?:(?:^|, )(flapping))?(?:(?:^|, )(paused))?(?:(?:^|, )(set by hand)(: .*)?)?$/s;

// In this language, as `beside` of app/pages/sentences.py.
function beside(note, acknowledged) {
  const ours = acknowledged ? note.slice(0, -acknowledged.length).replace(/, $/, '') : note;
  const found = ours.match(NOTE);
  if (!found) return note;
  const [, name, flapping, paused, byHand, why = ''] = found;
  const said = [
    name && say('affected by {name}', { name }),
    flapping && say('flapping'),
    paused && say('paused'),
    byHand && say('set by hand') + why,
    acknowledged,
  ];
  return said.filter(Boolean).join(', ');
}

// Within a group the order counts; how the groups are ordered, no frame says.
function describe(components) {
  const named = components.map(({ slug, name, group }) => [group ?? '', slug, name]);
  return JSON.stringify(named.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)));
}

// Components came or went. Only the server draws them, so ask it once; if it still draws others than the frames
// name (a second server that has not heard yet), asking again and again would help nobody.
let reloading = false;
function reloadOnce(components) {
  const wanted = describe(components);
  if (reloading || keepInThisTab.get('reloaded-for') === wanted) return;
  reloading = true;
  keepInThisTab.set('reloaded-for', wanted);
  setTimeout(() => reload(), Math.random() * 2000);
}
