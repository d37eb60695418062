// A field of several pages, which take turns. A problem that is new holds its page: turned away from it, the wall
// would hide what it is there for. The rail is the same on every page, so no problem is ever out of sight.
import { say } from './language.js';

export class Rotation {
  pages;
  at = 0;

  #show;
  #every;
  #left;
  #held = null;

  // `groups` have a `heading`, `members` and an `element`; `asked` is a number of pages, or the names of the groups
  // on each; `show` is given the page that is to be seen; `wrong` takes a sentence about what is not there.
  constructor(groups, asked, every, show, wrong) {
    this.pages = Array.isArray(asked) ? named(groups, asked, wrong) : split(groups, asked);
    this.#show = show;
    this.#every = every;
    this.#left = every;
  }

  get page() {
    return this.pages[this.at];
  }

  // Once a second. `urgent` is the component that is to be seen now, if there is one.
  pass(urgent) {
    if (this.pages.length < 2 || this.hold(urgent)) return;
    this.#left -= 1;
    if (this.#left <= 0) this.turn(1);
  }

  // Once for each that comes: whoever turns on by hand has seen it.
  hold(urgent) {
    if (urgent && urgent !== this.#held) {
      const at = this.pages.findIndex((page) => page.some(({ members }) => members.includes(urgent)));
      if (at !== this.at) this.turn(at - this.at);
    }
    this.#held = urgent;
    return Boolean(urgent);
  }

  turn(by) {
    this.at = (this.at + by + this.pages.length) % this.pages.length;
    this.#left = this.#every;
    this.#show(this.page);
  }
}

// What is named by nobody comes last: nothing on a wall is left out.
function named(groups, asked, wrong) {
  const slugs = groups.map(({ heading }) => slug(heading));
  for (const name of asked.flat()) {
    if (!slugs.includes(slug(name))) wrong.push(say('pages: there is no group {name}; there are {groups}', { name, groups: slugs.filter(Boolean).join(', ') }));
  }
  const pages = asked.map((names) => groups.filter((_, n) => names.some((name) => slug(name) === slugs[n])));
  const rest = groups.filter((group) => !pages.flat().includes(group));
  return [...pages, rest].filter((page) => page.length);
}

// Groups stay whole and in their order, and the pages become about equally full.
function split(groups, number) {
  const pages = [[]];
  const total = groups.reduce((sum, { members }) => sum + members.length, 0);
  let before = 0;
  for (const group of groups) {
    if (pages.at(-1).length && before >= (total / number) * pages.length) pages.push([]);
    pages.at(-1).push(group);
    before += group.members.length;
  }
  return pages;
}

const slug = (name) => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '');
