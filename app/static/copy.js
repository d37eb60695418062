// A copy of a page among plain files. It has no link to a server, so it goes by the clock: once the next copy should
// have come, this one claims nothing any more.
const root = document.documentElement;
const until = Date.parse(root.dataset.until);

function look() {
  if (root.dataset.live === 'stale' || !(Date.now() > until)) return;
  root.dataset.live = 'stale';
  document.title = document.title.replace(/^\S+/, '◷');
  document.querySelector('.hero > .shape use')?.setAttribute('href', '#shape-stale');
}

look();
setInterval(look, 1000);
