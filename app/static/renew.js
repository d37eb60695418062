// Takes a part of the page anew from the server. What has not come leaves the old one where it is.
export const renew = async (id) => {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.getElementById(id);
  if (fresh) document.getElementById(id).replaceWith(fresh);
};
