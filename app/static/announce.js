// The voice of a page: what a screen reader is to say, the last of it alone if much happens at once.
import { write } from './paint.js';

const SILENCE = 10e3; // milliseconds between two announcements

let announced = -Infinity;
let announcing = 0;

export function announce(text) {
  clearTimeout(announcing);
  const speak = () => {
    announced = performance.now();
    write(document.getElementById('said'), text);
  };
  announcing = setTimeout(speak, Math.max(100, announced + SILENCE - performance.now()));
}
