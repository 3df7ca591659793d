/**
 * One place for what the page knows; views watch the part they show.
 *
 * @template T
 * @typedef {Object} Store
 * @property {() => T} get
 * @property {(patch: Partial<T>) => void} set
 * @property {(select: (state: T) => readonly unknown[], render: (state: T) => void) => void} watch
 *   renders now, and again whenever one of the selected values is another than before
 */

/**
 * @template T
 * @param {T} initial
 * @returns {Store<T>}
 */
export function createStore(initial) {
  let state = initial;
  /** @type {(() => void)[]} */
  const watchers = [];
  return {
    get: () => state,
    set(patch) {
      state = { ...state, ...patch };
      for (const refresh of watchers) refresh();
    },
    watch(select, render) {
      /** @type {readonly unknown[] | null} */
      let seen = null;
      const refresh = () => {
        const now = select(state);
        if (seen && now.every((value, index) => Object.is(value, seen?.[index]))) return;
        seen = now;
        render(state);
      };
      watchers.push(refresh);
      refresh();
    },
  };
}
