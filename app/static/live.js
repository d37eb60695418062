// The connection, and the one question that matters: is what is on the screen still true?
//
// Frames come over a WebSocket, or over SSE where something on the way lets no WebSocket through. `state` is
// live, retry (the connection is gone, but not for long) or stale; it stands in `data-live` on <html>, and the
// stylesheets take all colours away by it. After stale nothing makes the page live but a beat that says the
// feed is ok: an open connection to a server that hears nothing is no proof.

const STALE_AFTER = 2.5; // beats without a frame
const FINAL = [4400, 4403, 4404]; // close codes that would only come again
const REASONS = {
  stale: 'no word from the probes',
  down: 'the server has lost its feed',
  lost: 'connection lost',
  refused: 'this page is no longer served',
};

const root = document.documentElement;

export class Live {
  state = root.dataset.live;
  reason = REASONS.stale;
  connected = false; // a frame has come over the present link
  refused = false; // nobody will let us in again
  known = Date.parse(root.dataset.known); // when the page was last known to be right, by the server's clock

  #hear;
  #show;
  #beat = Number(root.dataset.beat) * 1000;
  #last = root.dataset.id; // id of the last snapshot or patch, from which we resume
  #feed = this.state === 'stale' ? null : 'ok'; // what the last beat said; null: none has said anything yet
  #lastOk = performance.now(); // when the last frame came while the feed was ok
  #lastFrame = performance.now();
  #runOut = root.getAnimations().find(({ animationName }) => animationName === 'run-out'); // see tokens.css
  #open = socket;
  #link = null;
  #opened = 0;
  #failures = 0;
  #retry = 0;
  #skew = 0; // how far the server's clock is ahead of ours
  #checked = performance.now();
  #awake = Date.now() - performance.now();

  // `hear` is given each snapshot and each patch that is news; `show` is called when state or reason changed.
  constructor(hear, show) {
    this.#hear = hear;
    this.#show = show;
  }

  start() {
    setInterval(() => this.#check(), Math.min(1000, this.#beat / 5));
    document.addEventListener('visibilitychange', () => this.#return());
    addEventListener('pageshow', (event) => (event.persisted ? this.#wake() : this.#check()));
    addEventListener('online', () => this.#return());
    this.#connect();
  }

  // Milliseconds, by the server's clock: that of a kiosk may be off by hours.
  now() {
    return Date.now() + this.#skew;
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#link?.close();
    this.connected = false;
    this.#opened = performance.now();
    const wall = root.dataset.screen === 'wall' ? '&wall=1' : '';
    const link = this.#open(
      `?since=${this.#last}${wall}`,
      (frame) => link === this.#link && this.#take(frame),
      (code) => link === this.#link && this.#lose(code),
    );
    this.#link = link;
  }

  #take(frame) {
    this.connected = true;
    this.#failures = 0;
    this.#lastFrame = performance.now();
    if (frame.now) this.#skew = Date.parse(frame.now) - Date.now();
    if (frame.type === 'beat') this.#feed = frame.feed;
    if (frame.type === 'bye') return this.#again(frame.after);
    if (this.#feed === 'ok') this.#renew();
    // A snapshot counts even if its id is older than ours: the log may have been emptied. A patch names
    // everything whole, so one with the id we already have repeats it, or adds what was measured.
    if (frame.type === 'snapshot' || (frame.type === 'patch' && !isOlder(frame.id, this.#last))) {
      this.#last = frame.id;
      this.#hear(frame);
    }
    this.#judge();
  }

  #renew() {
    this.#lastOk = performance.now();
    this.known = this.now();
    if (this.#runOut) this.#runOut.currentTime = 0;
  }

  #lose(code) {
    if (!FINAL.includes(code)) return this.#again();
    this.refused = true;
    this.#link = null;
    this.#judge();
  }

  // Come back after `after` seconds, or after a time that grows with each failure. It is random, so that ten
  // thousand screens do not come back in the same instant.
  #again(after) {
    if (!this.connected) {
      this.#failures += 1;
      this.#open = this.#open === socket ? stream : socket;
    }
    this.#link?.close();
    this.#link = null;
    this.connected = false;
    this.#feed = null;
    const wait = after ?? 0.5 + Math.random() * Math.min(30, 0.5 * 2 ** this.#failures);
    this.#retry = setTimeout(() => this.#connect(), wait * 1000);
    this.#judge();
  }

  // Somebody looks at the page again, or the network is back: do not let them wait for the next try.
  #return() {
    this.#check();
    if (this.#retry && !document.hidden) this.#connect();
  }

  #check() {
    const now = performance.now();
    const awake = Date.now() - now;
    const limit = Math.max(this.#beat, 2000);
    // A machine that sleeps stops our timers, and on some systems this clock; the wall clock goes on. A hidden
    // tab has slow timers too, but it gets its frames.
    const paused = now - this.#checked > limit && this.#lastFrame < this.#checked;
    const slept = awake - this.#awake > limit;
    this.#checked = now;
    this.#awake = awake;
    if (paused || slept) return this.#wake();
    // Something on the way may have swallowed the connection without a word.
    const silent = now - Math.max(this.#opened, this.#lastFrame) > STALE_AFTER * this.#beat;
    if (this.#link && silent) return this.#again();
    this.#judge();
  }

  // What happened while this machine slept, nobody here knows.
  #wake() {
    this.#lastOk = -Infinity;
    this.#feed = null;
    if (!this.refused) this.#connect();
    this.#judge();
  }

  #judge() {
    const silent = performance.now() - this.#lastOk > STALE_AFTER * this.#beat;
    const doubt = this.refused ? 'refused' : this.#feed === 'ok' || !this.#feed ? silent && 'lost' : this.#feed;
    // That the feed is gone remains the reason; that it was well is no proof any more.
    if (silent && this.#feed === 'ok') this.#feed = null;
    const fresh = this.#feed === 'ok' && this.connected;
    const state = doubt ? 'stale' : fresh ? 'live' : this.state === 'stale' ? 'stale' : 'retry';
    const reason = doubt ? (REASONS[doubt] ?? REASONS.lost) : this.reason;
    if (state === this.state && reason === this.reason) return;
    this.state = root.dataset.live = state;
    this.reason = reason;
    this.#show();
  }
}

function socket(query, take, lose) {
  const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws${query}`);
  socket.onmessage = (message) => take(JSON.parse(message.data));
  socket.onclose = ({ code }) => lose(code);
  return socket;
}

function stream(query, take, lose) {
  const stream = new EventSource(`/events${query}`);
  for (const type of ['snapshot', 'patch', 'beat', 'bye']) {
    stream.addEventListener(type, (message) => take({ type, ...JSON.parse(message.data) }));
  }
  // It would reconnect by itself, but always to the same id and without our patience.
  stream.onerror = () => lose(0);
  return stream;
}

// Ids are `milliseconds-number`; as texts, 9-0 would come after 10-0.
function isOlder(id, than) {
  const [ms, number] = id.split('-').map(Number);
  const [thanMs, thanNumber] = than.split('-').map(Number);
  return ms < thanMs || (ms === thanMs && number < thanNumber);
}
