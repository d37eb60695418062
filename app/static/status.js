// The statuses: the word and the sign of each, and which of two is worse.
import { say } from './language.js';

// From best to worst, as app/domain/status.py ranks them; words and signs as in app/pages/rows.py.
export const STATUSES = {
  operational: { rank: 0, word: 'Operational', sign: '✓' },
  under_maintenance: { rank: 1, word: 'Maintenance', sign: '▣' },
  unknown: { rank: 2, word: 'No data', sign: '?' },
  degraded_performance: { rank: 3, word: 'Degraded', sign: '▲' },
  partial_outage: { rank: 4, word: 'Partial outage', sign: '◆' },
  major_outage: { rank: 5, word: 'Major outage', sign: '✕' },
};

export const rank = (status) => STATUSES[status].rank;
export const word = (status) => say(STATUSES[status].word);
