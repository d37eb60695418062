// Incidents and planned work, as frames tell them. The server has drawn those that were there; this keeps them
// true. What a template has no place for is not shown: a wall has one line for each.
import { say } from './language.js';
import { write } from './paint.js';
import { keepInThisTab } from './keep.js';

// As STAGES of app/pages/stories.py.
const STAGES = {
  investigating: 'Investigating',
  identified: 'Identified',
  monitoring: 'Monitoring',
  resolved: 'Resolved',
  postmortem: 'Postmortem',
  scheduled: 'Scheduled',
  in_progress: 'In progress',
  verifying: 'Verifying',
  completed: 'Completed',
};
const TOLD = 20; // updates of one story in a frame: TOLD_UPDATES of app/domain/incident.py
const OVER = ['resolved', 'postmortem', 'completed'];

export class Stories {
  #place = document.querySelector('.stories');
  #only = this.#place.dataset.only; // on the page of one of them: its id
  #story = document.getElementById('story').content.firstElementChild;
  #update = document.getElementById('update')?.content.firstElementChild;
  #name;
  #moment;

  // `name` makes a slug into the name of its component, `moment` an instant into words.
  constructor(name, moment) {
    this.#name = name;
    this.#moment = moment;
  }

  hear(frame) {
    const told = [
      ...(frame.incidents ?? []).map((story) => this.#draw('incident', story)),
      ...(frame.maintenances ?? []).map((story) => this.#draw('maintenance', story)),
    ];
    if (this.#only) {
      if (frame.type === 'snapshot' && !told.some(Boolean)) this.#endUnseen(frame.id);
      return;
    }
    if (frame.type === 'snapshot') {
      for (const element of [...this.#place.children]) if (!told.includes(element)) element.remove();
    } else if (!told.length) return;
    this.#sort();
    this.#place.hidden = !this.#place.children.length;
  }

  // Times are in the zone that a visitor chose.
  drawTimes() {
    for (const time of this.#place.querySelectorAll('time[datetime]')) {
      write(time, this.#moment(Date.parse(time.dateTime)));
    }
  }

  // On a page of its own: it ended while we were away. Once for each state, should the server not know it yet.
  #endUnseen(id) {
    if ('over' in this.#place.firstElementChild.dataset || keepInThisTab.get('ended') === id) return;
    keepInThisTab.set('ended', id);
    location.reload();
  }

  #draw(kind, story) {
    const known = [...this.#place.children].find(({ dataset }) => dataset.id === story.id);
    const over = OVER.includes(story.status);
    if (this.#only && !known) return null;
    if (this.#only && story.removed) return location.reload();
    if (story.removed || (over && !this.#only)) {
      known?.remove();
      return null;
    }
    const element = known ?? this.#story.cloneNode(true);
    const { id, status, impact = 'none' } = story;
    Object.assign(element.dataset, { id, kind, status, impact, starts: story.since ?? story.starts });
    element.toggleAttribute('data-over', over);
    const title = element.querySelector('a.title');
    if (title) title.setAttribute('href', `${this.#place.dataset.base}/${kind}s/${id}${location.search}`);
    this.#fill(element, {
      title: story.title,
      stage: stage(status),
      acknowledged: story.acknowledged ?? '',
      affects: story.components.map(({ slug }) => this.#name(slug)).filter(Boolean).join(', '),
    });
    this.#time(element.querySelector('.starts'), story.since ?? story.starts);
    this.#time(element.querySelector('.ends'), story.ends ?? story.resolved);
    this.#time(element.querySelector('.promise'), story.next_update_by);
    this.#tell(element.querySelector('.said'), story);
    if (!known) this.#place.append(element);
    return element;
  }

  #fill(element, texts) {
    for (const [name, text] of Object.entries(texts)) {
      const part = element.querySelector(`:scope > .${name}, :scope > :not(.said) > .${name}`);
      if (part) write(part, text);
    }
  }

  #time(time, at) {
    if (!time) return;
    if (at) time.dateTime = at;
    else time.removeAttribute('datetime');
    write(time, at ? this.#moment(Date.parse(at)) : '');
  }

  #tell(list, { updates, words, html, starts }) {
    if (!list) return;
    const planned = words ? [{ at: starts, status: '', html }] : [];
    // Of a long story a frame brings the last part.
    const oldest = updates.length >= TOLD ? updates.at(-1).at : '';
    const older = [...list.children].filter((item) => item.querySelector('time').dateTime < oldest);
    list.replaceChildren(
      ...[...updates, ...planned].map((update) => {
        const item = this.#update.cloneNode(true);
        write(item.querySelector('.stage'), stage(update.status));
        this.#time(item.querySelector('.at'), update.at);
        // The server has made it of Markdown, and let through what is harmless alone.
        item.querySelector('.words').innerHTML = update.html;
        return item;
      }),
      ...older,
    );
  }

  // As `stories` of app/pages/stories.py: incidents first, the newest before older ones, then what is next.
  #sort() {
    const elements = [...this.#place.children];
    const sorted = [...elements].sort((one, other) => {
      const [a, b] = [one.dataset, other.dataset];
      if (a.kind !== b.kind) return a.kind === 'incident' ? -1 : 1;
      const order = a.starts < b.starts ? -1 : a.starts > b.starts ? 1 : a.id < b.id ? -1 : 1;
      return a.kind === 'incident' ? -order : order;
    });
    if (sorted.some((element, n) => element !== elements[n])) this.#place.append(...sorted);
  }
}

const stage = (status) => say(STAGES[status] ?? status);
