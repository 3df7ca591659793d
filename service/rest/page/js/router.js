/**
 * Which of the two views is shown: the address says it, so that it can be linked and gone back to.
 */

/** @param {(view: string) => void} entered called with the view's name, now and at each change */
export function mountRouter(entered) {
  const views = [...document.querySelectorAll("main")];
  /** @type {NodeListOf<HTMLAnchorElement>} */
  const links = document.querySelectorAll("nav [data-view]");
  const follow = () => {
    const shown = views.find(({ dataset }) => `#${dataset.view}` === location.hash) ?? views[0];
    for (const view of views) view.hidden = view !== shown;
    for (const link of links) {
      link.ariaCurrent = link.dataset.view === shown.dataset.view ? "page" : null;
    }
    entered(shown.dataset.view ?? "");
  };
  addEventListener("hashchange", follow);
  follow();
}
