// What a browser keeps for its owner. Where it is told to keep nothing, even asking throws, and a page must work
// all the same.

export const keep = shelf(() => localStorage);
export const keepInThisTab = shelf(() => sessionStorage);

function shelf(storage) {
  return {
    get(name) {
      try {
        return storage().getItem(name) ?? '';
      } catch {
        return '';
      }
    },

    set(name, value) {
      try {
        if (value) storage().setItem(name, value);
        else storage().removeItem(name);
      } catch {
        // Then it holds until the page is left.
      }
    },
  };
}
