// Draws the page anew, but not before the server answers: the error page of a proxy has no script that would come
// back from it. `pause` is in seconds.
export const reload = async (pause = 1) => {
  const answer = await fetch(location.href, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
  if (answer?.ok) location.reload();
  else setTimeout(reload, (0.5 + Math.random()) * pause * 1000, Math.min(20, 2 * pause));
};
