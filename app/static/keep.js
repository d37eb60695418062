// What a browser keeps for its owner: the theme, the time zone. Where it is told to keep nothing, asking throws,
// and a page must work all the same.
export const keep = {
  get(name) {
    try {
      return localStorage.getItem(name) ?? '';
    } catch {
      return '';
    }
  },

  set(name, value) {
    try {
      if (value) localStorage.setItem(name, value);
      else localStorage.removeItem(name);
    } catch {
      // Then it holds until the page is left.
    }
  },
};
