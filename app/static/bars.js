// Pointing at a day of a bar, with the pointer or the arrow keys, says what happened on it.
import { announce } from './announce.js';
import { locale, say } from './language.js';
import { span } from './time.js';
import { word } from './status.js';

const SVG = 'http://www.w3.org/2000/svg';
const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const date = new Intl.DateTimeFormat(locale, { timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short' });

const styled = new Promise((loaded) => {
  const sheet = document.createElement('link');
  sheet.rel = 'stylesheet';
  sheet.href = new URL('./bars.css', import.meta.url);
  sheet.onload = loaded;
  document.head.append(sheet);
});

// `card` holds the bars and says in data-day which date is their first.
export const watchBars = async (card) => {
  const tip = document.createElement('div');
  if (!('popover' in tip)) return;
  await styled;
  tip.className = 'day';
  tip.popover = 'manual';
  card.append(tip);
  const start = Date.parse(card.dataset.day);
  for (const bar of card.querySelectorAll('.component .bar')) new Bar(bar, tip, start);
};

class Bar {
  #bar;
  #tip;
  #start;
  #days;
  #pointed;

  constructor(bar, tip, start) {
    this.#bar = bar;
    this.#tip = tip;
    this.#start = start;
    this.#days = bar.viewBox.baseVal.width;
    this.#pointed = this.#days - 1;
    bar.addEventListener('pointermove', (event) => {
      const { left, width } = bar.getBoundingClientRect();
      this.#point(Math.floor(((event.clientX - left) / width) * this.#days));
    });
    bar.addEventListener('pointerleave', () => this.#hide());
    bar.addEventListener('blur', () => this.#hide());
    bar.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#hide();
      if (!(event.key in STEPS)) return;
      event.preventDefault();
      this.#point(this.#pointed + STEPS[event.key]);
      announce(this.#tip.textContent);
    });
  }

  #point(day) {
    this.#pointed = Math.max(0, Math.min(this.#days - 1, day));
    const title = document.createElement('b');
    title.textContent = date.format(this.#start + this.#pointed * 86400e3);
    this.#tip.replaceChildren(title, ...this.#told(this.#pointed));
    this.#mark(this.#pointed);
    if (!this.#tip.matches(':popover-open')) this.#tip.showPopover();
    this.#place();
  }

  #told(day) {
    if (day < Number(this.#bar.dataset.first)) return [say('Not watched yet')];
    const entries = this.#bar.dataset.days.split(';').map((entry) => entry.split(':'));
    const lines = entries
      .filter(([index]) => index !== '' && Number(index) === day)
      .map(([, status, minutes]) => {
        const line = document.createElement('div');
        line.textContent = say('{component}: {status}', { component: word(status), status: span(minutes * 60) });
        return line;
      });
    return lines.length ? lines : [say('No problem recorded')];
  }

  #mark(day) {
    let mark = this.#bar.querySelector('.pointed');
    if (!mark) {
      mark = document.createElementNS(SVG, 'path');
      mark.setAttribute('class', 'pointed');
      this.#bar.append(mark);
    }
    mark.setAttribute('d', `M${day} -3h1v26h-1z`);
  }

  #place() {
    const { left, top, bottom, width } = this.#bar.getBoundingClientRect();
    const { offsetWidth, offsetHeight, style } = this.#tip;
    const middle = left + ((this.#pointed + 0.5) / this.#days) * width;
    style.left = `${Math.max(8, Math.min(innerWidth - offsetWidth - 8, middle - offsetWidth / 2))}px`;
    style.top = `${top < offsetHeight + 18 ? bottom + 10 : top - offsetHeight - 10}px`;
  }

  #hide() {
    if (this.#tip.matches(':popover-open')) this.#tip.hidePopover();
    this.#bar.querySelector('.pointed')?.remove();
  }
}
