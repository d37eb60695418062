// The past 24 hours on the calm rail, by the minute: the worst of each. The server says how they were; what becomes of
// them is noted here, in a list that never grows, so a wall knows the same after a month and asks nobody. Only while
// the server could not say it does a wall ask again.
import { STATUSES, rank } from './status.js';
import { say } from './language.js';
import { span } from './time.js';
import { write } from './paint.js';

const MINUTES = 24 * 60;
const COLUMN = 15; // minutes
const NOBODY = -1; // nothing is known of that minute
const HEIGHTS = [100, 35, 35, 55, 80, 100]; // by rank: how bad it was can be seen without colour

// A clock that is set jumps, until the next frame says what time it is at the server. What lasts longer than that, in
// seconds, is true: this machine has slept.
const BEAT = Number(document.documentElement.dataset.beat); // seconds
const JUMP = 1 + Math.ceil(BEAT);
const [SOON, SELDOM] = [6, 120]; // beats between two questions: half a minute at first, ten at the most

const minuteOf = (ms) => Math.floor(ms / 60e3);

export class Hours {
  #place;
  #said;
  #worst = new Int8Array(MINUTES).fill(NOBODY); // the last is that of #at
  #at;
  #jumped = 0;

  constructor(place) {
    this.#place = place;
    this.#at = Number(place.dataset.until);
    this.#said = place.dataset.lost ?? '';
    if (this.#said) this.#askAfter(SOON);
    else this.#take(place.dataset);
  }

  // How bad it is now, each second; nothing, if that is not known. Minutes that passed while nobody noted anything are
  // unknown. If the server's own clock was set back, the list ends now all the same.
  note(status, now) {
    const passed = Math.min(MINUTES, minuteOf(now) - this.#at);
    if (Math.abs(passed) > 1 && ++this.#jumped <= JUMP) return;
    this.#jumped = 0;
    if (passed > 0) {
      this.#worst.copyWithin(0, passed);
      this.#worst.fill(NOBODY, MINUTES - passed);
    }
    if (passed > 0 || passed < -1) this.#at = minuteOf(now);
    this.#worst[MINUTES - 1] = Math.max(this.#worst[MINUTES - 1], status ? rank(status) : NOBODY);
  }

  // What the server knows of each minute, which may be worse than what was heard here meanwhile.
  #take({ until, runs }) {
    this.#at ||= Number(until);
    let minute = Number(until) - this.#at;
    for (const [severity, length] of JSON.parse(runs)) {
      for (const end = minute + length; minute < end; minute++) {
        if (severity > this.#worst[minute]) this.#worst[minute] = severity;
      }
    }
  }

  // Each wall at a moment of its own, for all of them lost it at once.
  #askAfter(beats) {
    setTimeout(() => this.#ask(beats), (0.5 + Math.random()) * beats * BEAT * 1000);
  }

  async #ask(beats) {
    const answer = await fetch(location.href, { cache: 'no-store' }).catch(() => null);
    const text = answer?.ok ? await answer.text().catch(() => '') : '';
    const found = new DOMParser().parseFromString(text, 'text/html').querySelector('.hours')?.dataset;
    if (!found || found.lost) return this.#askAfter(Math.min(SELDOM, beats * 2));
    this.#take(found);
    this.#said = '';
    this.draw();
  }

  draw() {
    const bad = this.#worst.filter((severity) => severity > rank('under_maintenance')).length;
    const told = bad ? say('{time} with problems', { time: span(bad * 60) }) : say('No problem recorded');
    write(this.#place.querySelector('small'), this.#said || told);
    const paths = Object.keys(STATUSES).map(() => '');
    for (let n = 0; n < MINUTES / COLUMN; n++) {
      const severity = Math.max(...this.#worst.subarray(n * COLUMN, (n + 1) * COLUMN));
      if (severity !== NOBODY) paths[severity] += `M${n} 100h.8v-${HEIGHTS[severity]}h-.8z`;
    }
    for (const path of this.#place.querySelectorAll('path')) path.setAttribute('d', paths[rank(path.dataset.status)]);
  }
}
