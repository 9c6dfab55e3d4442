// What is being written in a form is kept as a draft on the server, a moment after each change: a closed tab, a crash
// and a second tab lose nothing. A form with data-leaving is being handed in and keeps no draft any more.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const word = (name) => $(`[data-word="${name}"]`, $("#words").content).textContent;
  // `form()`: the form now on the page, or null; `url(form)`; `body()`: what it holds; `place(form)`: more of the message; `also()`: more
  // of the body, whose change alone is nothing to keep.
  window.wardround.draft = ({ form, url, body, place = () => ({}), also = () => ({}) }) => {
    let timer = 0, saving = Promise.resolve(), base = 0, kept = "";
    function later() { clearTimeout(timer); timer = setTimeout(save, 700); }
    function again() { stop(); timer = setTimeout(save, 4000); } // until then nothing lets the page go without a word
    function stop() { clearTimeout(timer); timer = 0; }
    function save(replace = false) {
      stop();
      const f = form();
      if (!f || f.dataset.leaving) return saving;
      const text = JSON.stringify(body());
      if (text === kept && !replace) return saving;
      const more = place(f), tell = (what) => { $(".state", f).textContent = what; };
      saving = saving.then(async () => {
        if (form() !== f || f.dataset.leaving) return;
        try {
          const reply = await fetch(url(f), {
            method: "PUT", keepalive: text.length < 20000, headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": window.wardround.token() },
            body: JSON.stringify({ ...more, version: base, body: { ...JSON.parse(text), ...also() }, replace }),
          });
          const said = await reply.json();
          if (form() !== f) return;
          if (reply.ok) { base = said.version; kept = text; tell(word("saved")); }
          else if (reply.status === 409) newer(f);
          else { tell(said.error ?? word("unsaved")); if (reply.status >= 500) again(); }
        } catch { if (form() === f) { tell(word("unsaved")); again(); } }
      });
      return saving;
    }
    function newer(f) { // another tab saved since
      const button = (name, act) => {
        const made = document.createElement("button");
        made.type = "button"; made.className = "small"; made.textContent = word(name);
        made.addEventListener("click", act);
        return made;
      };
      const load = button("load", () => location.reload()), over = button("replace", () => save(true));
      $(".state", f).replaceChildren(word("newer"), " ", load, " ", over);
    }
    document.addEventListener("input", (event) => { if (form()?.contains(event.target)) later(); });
    document.addEventListener("visibilitychange", () => { if (document.hidden && timer) save(); });
    document.addEventListener("htmx:beforeRequest", () => { if (timer) save(); }); // another item may come in its place
    addEventListener("pagehide", () => { if (timer) save(); });
    addEventListener("beforeunload", (event) => { if (timer && form() && !form().dataset.leaving) { save(); event.preventDefault(); } });
    return {
      later, stop,
      // Another form is on the page; `fresh`: what it holds was never kept.
      begin(fresh = false) {
        stop();
        base = Number(form().dataset.draftVersion);
        kept = fresh ? "" : JSON.stringify(body());
        if (fresh) later();
      },
    };
  };
})();
