// What stands behind what a screen shows, for whoever stands at it and wonders. Drawn only while it is looked at.
import { write } from './paint.js';

export class Diagnostics {
  #panel;
  #read;
  #values = new Map();

  // `read` gives the lines: what they are about, and what is to be said.
  constructor(panel, read) {
    this.#panel = panel;
    this.#read = read;
  }

  toggle() {
    this.#panel.hidden = !this.#panel.hidden;
  }

  draw() {
    if (this.#panel.hidden) return;
    for (const [name, text] of Object.entries(this.#read())) write(this.#values.get(name) ?? this.#add(name), text);
  }

  #add(name) {
    const [term, value] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    this.#panel.append(term, value);
    this.#values.set(name, value);
    return value;
  }
}
