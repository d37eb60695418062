// The head of a page: one sentence, what it is about, and whether it is still true.
import { STALE_SIGN, capital, paint, setTitle, write } from './paint.js';
import { announce } from './announce.js';
import { say } from './language.js';

const element = document.querySelector('.hero');

export class Hero {
  #live;
  #clock;
  #met = false; // the server, since the page was drawn
  // What it says while the page is fresh. Where the server has drawn it stale, that stands beside it.
  #sign = element?.dataset.sign ?? document.title.split(' ')[0];
  #status = element?.dataset.status;
  #about = element?.dataset.about ?? element?.querySelector('h1').textContent;
  #below = element?.dataset.below ?? element?.querySelector('.tally').textContent;

  constructor(live, clock) {
    this.#live = live;
    this.#clock = clock;
  }

  tell(sign, { status, about, below }) {
    this.#sign = sign;
    this.#status = status;
    this.#about = about;
    this.#below = below;
    this.draw();
  }

  draw() {
    if (!element) return drawUnlive(this.#live);
    const status = this.#status;
    const stale = this.#live.state === 'stale';
    const sentence = stale ? say('Not live: {reason}', { reason: say(this.#live.reason) }) : this.#about;
    const heading = element.querySelector('h1');
    paint(element, status, stale ? 'stale' : status);
    if (heading.textContent !== sentence) {
      write(heading, sentence);
      announce(sentence);
    }
    write(element.querySelector('.tally'), stale ? this.#lastKnown() : this.#below);
    setTitle(stale ? STALE_SIGN : this.#sign, sentence, stale ? 'stale' : status);
    this.#drawFreshness();
  }

  #lastKnown() {
    const time = this.#clock.recent(this.#live.known, this.#live.now());
    if (this.#status === 'unknown') return say('Nothing heard since {time}', { time });
    return say('Last known state, from {time}: {sentence}', { time, sentence: this.#about });
  }

  #drawFreshness() {
    const { state, remedy, refused } = this.#live;
    this.#met ||= state === 'live';
    const freshness = element.querySelector('.freshness span');
    if (state === 'live') write(freshness, say('Live – no need to reload'));
    // Until the first frame the server's own words stand: as of when it drew this.
    else if (this.#met || state === 'stale') write(freshness, `${capital(say(remedy))}${refused ? '' : '…'}`);
  }
}

// A page that says nothing of now has no hero, but it too may be old.
function drawUnlive({ state, reason }) {
  const stale = state === 'stale';
  const note = document.querySelector('.unlive span');
  note.hidden = !stale;
  write(note, stale ? say('Not live: {reason}', { reason: say(reason) }) : '');
  document.title = `${stale ? STALE_SIGN : ''} ${document.title.replace(`${STALE_SIGN} `, '')}`;
}
