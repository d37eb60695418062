// Times in words. One formatter per kind, made once: making them is what costs.
import { locale, say } from './language.js';

const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });

// "38 min", "3 h 12", "4 d"
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return say('{number} s', { number: whole });
  const minutes = Math.floor(whole / 60);
  if (whole < 3600) return say('{number} min', { number: minutes });
  const hours = Math.floor(whole / 3600);
  if (whole < 86400) return say('{hours} h {minutes}', { hours, minutes: String(minutes % 60).padStart(2, '0') });
  return say('{number} d', { number: Math.floor(whole / 86400) });
}

// "38 minutes ago"
export function ago(seconds) {
  for (const [unit, length] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
  }
  return say('just now');
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
    return new Intl.DateTimeFormat(locale, { timeZone, ...options });
  } catch {
    return new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...options });
  }
}
