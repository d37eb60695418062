// Times in words. One formatter per kind, made once: making them is what costs.

const LANGUAGE = 'en-GB';
const relative = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: 'auto' });

// "38 min", "3 h 12", "4 d"
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, '0')}`;
  return `${Math.floor(whole / 86400)} d`;
}

// "38 minutes ago"
export function ago(seconds) {
  for (const [unit, length] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
  }
  return 'just now';
}

export class Clock {
  #parts;
  #moment;
  #day;

  constructor(zone) {
    this.set(zone);
  }

  set(zone) {
    const format = (options) => formatter(zone, options);
    this.#parts = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
    this.#moment = format({
      day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZoneName: 'short',
    });
    this.#day = format({ weekday: 'short', day: 'numeric', month: 'short' });
  }

  // "14:31:29"
  time(ms) {
    return this.#parts.format(ms);
  }

  // "14:31:29", which from another day would be taken for today's: then as below
  recent(ms, now) {
    return now - ms < 12 * 3600e3 ? this.time(ms) : this.moment(ms);
  }

  // "23 Nov, 14:32 CET"
  moment(ms) {
    return this.#moment.format(ms);
  }

  // "Mon 23 Nov"
  day(ms) {
    return this.#day.format(ms).replace(',', '');
  }
}

// A browser may not know a zone that the server knows.
function formatter(timeZone, options) {
  try {
    return new Intl.DateTimeFormat(LANGUAGE, { timeZone, ...options });
  } catch {
    return new Intl.DateTimeFormat(LANGUAGE, { timeZone: 'UTC', ...options });
  }
}
