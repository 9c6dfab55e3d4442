// The coordinator's pages: the overview is renewed only while somebody looks at it and nothing in it is being used;
// one key shows and hides all changes between versions.
"use strict";
(() => {
  document.addEventListener("htmx:beforeRequest", (event) => {
    const overview = event.detail.elt;
    if (overview.id !== "overview") return;
    if (document.hidden || overview.contains(document.activeElement)) event.preventDefault();
  });
  // What came later may hold the place the address points at.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.id === "figures" && location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-diffs]")) return;
    const all = [...document.querySelectorAll("details.diffs")];
    const open = !all.every((d) => d.open);
    all.forEach((d) => { d.open = open; });
  });
})();
