// The instants on a page for visitors, in the zone that they chose. What is said of one ("for 38 min", "2 hours ago")
// becomes wrong by itself, so all are looked at again and again.
import { Clock, ago, span } from './time.js';
import { say } from './language.js';
import { write } from './paint.js';

export class Times {
  clock = new Clock(document.documentElement.dataset.zone);
  #now;

  // `now` gives the server's milliseconds.
  constructor(now) {
    this.#now = now;
  }

  drawAll() {
    for (const time of document.querySelectorAll('[data-reads][datetime]')) this.#draw(time);
  }

  // Both may change: the instant that is meant, and how long ago that is.
  draw(time, at) {
    time.dateTime = new Date(at).toISOString();
    this.#draw(time);
  }

  #draw(time) {
    const at = Date.parse(time.dateTime);
    const moment = this.clock.moment(at);
    const { reads } = time.dataset;
    if (reads === 'at') return write(time, moment);
    const seconds = (this.#now() - at) / 1000;
    time.title = moment;
    write(time, reads === 'ago' || seconds < 60 ? ago(seconds) : say('for {time}', { time: span(seconds) }));
  }
}
