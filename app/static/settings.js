// What the address of a wall asks for. Each screen is another one, so all of it stands in the address: nobody is
// at a kiosk who would set it by hand. What cannot be read is said at the foot, and the usual holds.
import { say } from './language.js';

const given = new URLSearchParams(location.search);

export const wrong = [];

export const settings = {
  distance: number('distance', 5, 0.5, 50), // metres to those who read it
  diagonal: number('diagonal', 55, 5, 300), // inches
  every: number('every', 30, 2, 3600), // seconds for which each page is shown
  pages: pages(),
  names: flag('names'),
  sound: flag('sound'),
  night: night(),
};

function number(name, usual, least, most) {
  const text = given.get(name) ?? String(usual);
  const value = text.trim() ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  wrong.push(say('{name} is a number from {least} to {most}, such as {example}', { name, least, most, example: `${name}=${usual}` }));
  return usual;
}

function flag(name) {
  const text = given.get(name) ?? '0';
  if (!['0', '1'].includes(text)) wrong.push(say('{name} is 1 or 0', { name }));
  return text === '1';
}

// A number of pages, or the groups that are on each of them: `a,b+c`.
function pages() {
  const text = given.get('pages');
  if (text === null || /^([2-9]|1\d|20)$/.test(text)) return Number(text ?? 1);
  const named = text.split(',').map((page) => page.split(/[+ ]/).filter(Boolean));
  if (named.every((page) => page.length) && !/^\d*$/.test(text)) return named;
  wrong.push(say('pages is a number from 2 to 20, or names of groups, such as {example}', { example: 'pages=core,edge' }));
  return 1;
}

// From when to when it is night, in minutes of the day.
function night() {
  const text = given.get('night');
  if (text === null) return null;
  const found = text.match(/^(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?$/);
  const [from, to] = found ? [minutes(found[1], found[2]), minutes(found[3], found[4])] : [NaN, NaN];
  if (from < 1440 && to < 1440 && from !== to) return { from, to };
  wrong.push(say('night is two times of the day, such as {example} or {other}', { example: 'night=22-6', other: 'night=21:30-6:15' }));
  return null;
}

function minutes(hour, minute = 0) {
  return Number(minute) < 60 ? Number(hour) * 60 + Number(minute) : NaN;
}

// `time` is the time of the day as "14:31:29".
export function isNight({ from, to }, time) {
  const [hour, minute] = time.split(':').map(Number);
  const now = hour * 60 + minute;
  return from < to ? from <= now && now < to : from <= now || now < to;
}
