// The connection, and the one question that matters: is what is on the screen still true?
//
// Frames come over a WebSocket; over SSE only when a WebSocket has just brought none, as where something on the
// way lets none through. `state` is live, retry (the connection is gone, but not for long) or stale; it stands in
// `data-live` on <html>, and the stylesheets take all colours away by it. After stale nothing makes the page live
// but a beat that says the feed is ok: an open connection to a server that hears nothing is no proof.

const STALE_AFTER = 2.5; // beats without a frame, or of the server while there is no link
const ANSWER_WITHIN = 10e3; // milliseconds in which a new link must bring its first frame
const IMPATIENT = 120e3; // milliseconds of an outage, or since somebody came to look, in which we ask often
const FINAL = [4400, 4403, 4404]; // close codes that would only come again
// Seconds after which a server asks those back for whom it has no room, by close code, as app/live/crowd.py does.
const FULL = { 1013: 30, 4429: 60 };
// Why a page is stale, to people. What a beat may say of the feed, WHY of app/pages/stale.py says as well.
const REASONS = {
  stale: 'no word from the probes',
  down: 'the server has lost its feed',
  lost: 'connection lost',
  refused: 'this page is no longer served',
};

const root = document.documentElement;
// Only on walls, and on pages that are looked at from near the server.
const operators = document.querySelector('.operators');

// Of a wall that is opened without a login: the end of its address.
const token = () => location.pathname.match(/^\/wall\/(wall_\w+)$/)?.[1];

export class Live {
  state = root.dataset.live;
  reason = REASONS[root.dataset.feed] ?? REASONS.lost;
  connected = false; // a frame has come over the present link
  refused = false; // nobody will let us in again
  known = Date.parse(root.dataset.known); // when workers were last heard, by the server's clock
  build = ''; // of the pages that the server has now
  unfit; // workers in no state to judge, by region; undefined before the first beat

  #hear;
  #show;
  #said = '';
  #beat = Number(root.dataset.beat) * 1000; // between two beats that we get
  #pulse = Number(root.dataset.pulse) * 1000; // between two of the server's: a page gets each third
  #lost = null; // when the link went; null while there is one
  #last = root.dataset.id; // id of the last snapshot or patch, from which we resume
  #feed = root.dataset.feed; // what the last beat said; null: none has said anything yet
  #lastOk = performance.now(); // when the last frame came while the feed was ok
  #lastFrame = performance.now();
  #runOut = root.getAnimations().find(({ animationName }) => animationName === 'run-out'); // see tokens.css
  #open = socket; // how the next link is opened, or the present one, if nothing has come over it yet
  #link = null;
  #opened = 0;
  #failures = 0;
  #impatient = performance.now() + IMPATIENT; // until when
  #retry = 0;
  #skew = 0; // how far the server's clock is ahead of ours
  #checked = performance.now();
  #awake = Date.now() - performance.now();

  // `hear` is given each snapshot and each patch that is news; `show` is called when what is to be said of
  // the connection has changed.
  constructor(hear, show) {
    this.#hear = hear;
    this.#show = show;
  }

  start() {
    setInterval(() => this.#check(), Math.min(1000, this.#beat / 5));
    document.addEventListener('visibilitychange', () => this.#return());
    addEventListener('pageshow', (event) => (event.persisted ? this.#wake() : this.#return()));
    addEventListener('online', () => this.#return());
    if (isFromHistory()) this.#wake();
    else this.#connect();
  }

  // Milliseconds, by the server's clock: that of a kiosk may be off by hours.
  now() {
    return Date.now() + this.#skew;
  }

  // How frames come, and how many seconds ago the last one did.
  get way() {
    return this.#link instanceof WebSocket ? 'WebSocket' : this.#link ? 'SSE' : 'none';
  }

  get silence() {
    return (performance.now() - this.#lastFrame) / 1000;
  }

  // What is being done about it.
  get remedy() {
    if (this.refused) return 'reload to try again';
    return this.connected ? 'waiting for fresh results' : 'reconnecting';
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#link?.close();
    this.connected = false;
    this.#opened = performance.now();
    const wall = root.dataset.screen === 'wall' ? `&wall=${token() ?? 1}` : '';
    const page = root.dataset.slug ? `&page=${root.dataset.slug}` : '';
    const link = this.#open(
      `?since=${this.#last}${wall}${page}`,
      (frame) => link === this.#link && this.#take(frame),
      (code) => link === this.#link && this.#lose(code),
    );
    this.#link = link;
  }

  #take(frame) {
    this.connected = true;
    this.#failures = 0;
    this.#open = socket;
    this.#lost = null;
    this.#lastFrame = performance.now();
    if (frame.now) this.#skew = Date.parse(frame.now) - Date.now();
    if (frame.type === 'beat') this.#hearBeat(frame);
    if (frame.type === 'bye') return this.#again(frame.after);
    if (this.#feed === 'ok') this.#renew();
    // A snapshot counts even if its id is older than ours: the log may have been emptied. A patch names
    // everything whole, so one with the id we already have repeats it, or adds what was measured.
    if (frame.type === 'snapshot' || (frame.type === 'patch' && !isOlder(frame.id, this.#last))) {
      this.#last = frame.id;
      // Its id, for what was measured is told later than it was heard.
      if (frame.type === 'patch' && isFromWorkers(frame)) this.#learn(Number(frame.id.split('-')[0]));
      this.#hear(frame);
    }
    this.#decide();
  }

  #hearBeat({ feed, regions, config, build, unfit = {} }) {
    this.#feed = feed;
    this.unfit = unfit;
    if (build) this.build = build;
    this.#learn(this.now() - Math.min(...Object.values(regions)) * 1000);
    if (operators) operators.hidden = config !== 'bad';
  }

  // A clock that was set back must not leave us with an instant that is still to come.
  #learn(at) {
    this.known = Math.min(this.now(), Math.max(this.known, at));
  }

  #renew() {
    this.#lastOk = performance.now();
    if (this.#runOut) this.#runOut.currentTime = 0;
  }

  #lose(code) {
    // Spread, or all whom it has sent away would be there again in the same instant.
    if (code in FULL) return this.#again(FULL[code] * (1 + Math.random() / 2));
    if (!FINAL.includes(code)) return this.#again();
    this.refused = true;
    this.#link = null;
    this.#decide();
  }

  // Come back after `after` seconds, or when our patience ends.
  #again(after) {
    const failed = !this.connected && after === undefined;
    // At once, so that both are one try. If they took turns, half of all screens would come back from an outage
    // over SSE, and stay there.
    const otherWay = failed && this.#open === socket;
    if (this.connected) this.#hurry();
    else if (failed && !otherWay) this.#failures += 1;
    this.#open = otherWay ? stream : socket;
    this.#link?.close();
    this.#link = null;
    this.connected = false;
    this.#lost ??= performance.now();
    this.#feed = null;
    const wait = otherWay ? 0 : (after ?? this.#patience());
    this.#retry = setTimeout(() => this.#connect(), wait * 1000);
    this.#decide();
  }

  // Seconds, more with each failure. Whoever looks at a page that is not live looks for its return, so at first
  // they are few. They are random, so that ten thousand screens do not come back in the same instant.
  #patience() {
    const most = document.hidden || performance.now() > this.#impatient ? 30 : 5;
    return 0.2 + Math.random() * Math.min(most, 0.5 * 2 ** this.#failures);
  }

  #hurry() {
    this.#impatient = performance.now() + IMPATIENT;
  }

  // Somebody looks at the page again, or the network is back: do not let them wait for the next try, nor for
  // one that was begun on the network before.
  #return() {
    this.#check();
    const begun = this.#link && performance.now() - this.#opened < 1000;
    if (document.hidden || this.connected || this.refused || begun) return;
    this.#hurry();
    this.#connect();
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
    const [since, most] = this.connected ? [this.#lastFrame, STALE_AFTER * this.#beat] : [this.#opened, ANSWER_WITHIN];
    if (this.#link && now - since > most) return this.#again();
    this.#decide();
  }

  // What happened while this machine slept, or this page was in a history, nobody here knows.
  #wake() {
    this.#lastOk = -Infinity;
    this.#feed = null;
    this.#hurry();
    if (!this.refused) this.#connect();
    this.#decide();
  }

  // Whoever knows that the link is gone need not wait as long as who hears nothing over one that seems well.
  #isSilent(now) {
    const cut = this.#lost !== null && now - this.#lost > STALE_AFTER * this.#pulse;
    return cut || now - this.#lastOk > STALE_AFTER * this.#beat;
  }

  #decide() {
    const silent = this.#isSilent(performance.now());
    const doubt = this.refused ? 'refused' : this.#feed === 'ok' || !this.#feed ? silent && 'lost' : this.#feed;
    // That the feed is gone remains the reason; that it was well is no proof any more.
    if (silent && this.#feed === 'ok') this.#feed = null;
    const fresh = this.#feed === 'ok' && this.connected;
    const state = doubt ? 'stale' : fresh ? 'live' : this.state === 'stale' ? 'stale' : 'retry';
    const reason = doubt ? (REASONS[doubt] ?? REASONS.lost) : this.reason;
    const said = `${state}, ${reason}, ${this.remedy}`;
    if (said === this.#said) return;
    this.#said = said;
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

// A page that is gone back to, or restored with its tab, comes from what the browser has kept, however old, and
// without a question to the server.
function isFromHistory() {
  return performance.getEntriesByType('navigation')[0]?.type === 'back_forward';
}

// That something is unknown by now is not heard from a worker: it is what the server makes of their silence.
function isFromWorkers({ components, latency }) {
  return latency || components?.some(({ status }) => status !== 'unknown');
}

// Ids are `milliseconds-number`; as texts, 9-0 would come after 10-0.
function isOlder(id, than) {
  const [ms, number] = id.split('-').map(Number);
  const [thanMs, thanNumber] = than.split('-').map(Number);
  return ms < thanMs || (ms === thanMs && number < thanNumber);
}
