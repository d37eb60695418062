// Two soft notes, for those who asked for them. A browser lets a page make no sound before somebody has touched
// it, unless it was started with --autoplay-policy=no-user-gesture-required.
import { say } from './language.js';

const APART = 10e3; // milliseconds between two chimes at the least
const NOTES = [660, 495]; // hertz

export class Chime {
  on;
  #context = null;
  #last = -Infinity;

  constructor(on) {
    this.on = on;
  }

  // What has become of it, to whoever looks for the reason that nothing is heard.
  get state() {
    if (!this.on) return say('off');
    return !this.#context || this.#context.state === 'running' ? say('on') : say('on, but this browser waits for a touch');
  }

  ring() {
    if (!this.on || performance.now() - this.#last < APART) return;
    this.#last = performance.now();
    this.play();
  }

  play() {
    this.#context ??= new AudioContext();
    this.#context.resume();
    NOTES.forEach((hertz, n) => this.#note(hertz, this.#context.currentTime + n * 0.22));
  }

  #note(hertz, at) {
    const tone = new OscillatorNode(this.#context, { frequency: hertz });
    const volume = new GainNode(this.#context, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.2, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.4);
    tone.connect(volume).connect(this.#context.destination);
    tone.start(at);
    tone.stop(at + 0.42);
  }
}
