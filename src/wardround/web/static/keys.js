// Keys, and what must not be lost. No framework; every page works without this file, by mouse and plain forms.
//
//   data-key="n"            this element is clicked (a field: focused) when n is pressed outside a text field;
//                           "Enter", "Escape", "ArrowRight" and "Mod+Enter" (Ctrl or ⌘, also inside a text field) work too
//   data-key-label="…"      what the help (?) calls it; else its text without the <kbd>
//   data-keys="j k"         keys a page's own script answers to: only told in the help, hidden or not
//   data-confirm="…"        asked before a form is sent
//   data-keep="name"        a form whose fields survive an expired session: kept in this tab until sent
//                           (a hidden field only with data-kept)
//   data-autosubmit         a form sent as soon as one of its fields changes
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const typing = (e) => e instanceof HTMLElement &&
    (e.isContentEditable || e.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=range])"));
  const shown = (e) => !e.disabled && e.getClientRects().length > 0;
  const token = () => $("meta[name=csrf]")?.content ?? "";

  const NAMES = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": "␣" };

  // Keys
  function pressed(event) {
    if (event.defaultPrevented || event.isComposing || event.altKey || event.keyCode === 229) return;
    const mod = event.ctrlKey || event.metaKey;
    const inside = typing(event.target);
    if (inside && event.key === "Escape") { event.target.blur(); return; }
    if (mod ? event.key !== "Enter" : inside) return;
    if (event.repeat) return;
    const open = $("dialog[open]");
    if (!mod && event.key === "?" && !open) { event.preventDefault(); help(); return; }
    if (!mod && event.key === "Enter" && event.target.closest?.("a, button, summary")) return;
    const wanted = mod ? "Mod+Enter" : event.key;
    const hit = $$("[data-key]", open ?? document).find((e) => shown(e) &&
      e.dataset.key.split(" ").some((k) => k === wanted || (k.length === 1 && k === wanted.toLowerCase())));
    if (!hit) return;
    event.preventDefault();
    if (!typing(hit)) { hit.click(); return; }
    hit.focus();
    hit.scrollIntoView({ block: "nearest" }); // all of it, not its first line alone
  }
  document.addEventListener("keydown", pressed);

  function help() {
    const dialog = $("#keys-help");
    if (!dialog) return;
    const list = $("dl", dialog);
    list.replaceChildren();
    for (const e of $$("[data-key], [data-keys]").filter((e) => (e.dataset.keys || shown(e)) && !dialog.contains(e))) {
      const dt = document.createElement("dt");
      for (const key of (e.dataset.keys ?? e.dataset.key).split(" ")) {
        const kbd = document.createElement("kbd");
        kbd.textContent = NAMES[key] ?? key.replace("Mod+", "Ctrl + ");
        dt.append(kbd, " ");
      }
      const dd = document.createElement("dd");
      const plain = e.cloneNode(true);
      $$("kbd", plain).forEach((k) => k.remove());
      dd.textContent = e.dataset.keyLabel || plain.textContent.trim() || e.getAttribute("aria-label") || e.name || "";
      list.append(dt, dd);
    }
    dialog.showModal();
  }
  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog").close();
    if (event.target.closest("[data-help]")) help();
    $$("details.menu[open]").forEach((d) => { if (!d.contains(event.target)) d.open = false; });
  });

  // Forms
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (question && !window.confirm(question)) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    if (form.dataset.keep) keep(form);
    if (form.matches("[method=post]") && !form.matches("[hx-post], [hx-put]")) {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      setTimeout(() => delete form.dataset.sent, 4000);
    }
  }, true);
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-autosubmit]");
    if (form) form.requestSubmit();
  });

  // A form whose session ended: its fields stay in this tab, for the same person only, and come back after the login.
  const PLACE = "wardround-kept";
  function keep(form) {
    const fields = [...new FormData(form)].filter(([name, value]) => typeof value === "string" && name !== "csrf" &&
      $(`[name="${CSS.escape(name)}"]`, form)?.type !== "password");
    const entry = { path: location.pathname + location.search, form: form.dataset.keep, person: document.body.dataset.person, fields, lost: false };
    sessionStorage.setItem(PLACE, JSON.stringify(entry));
  }
  function restore() {
    const text = sessionStorage.getItem(PLACE);
    if (!text) return;
    const entry = JSON.parse(text);
    if (document.body.dataset.page === "login") {
      if (document.body.dataset.expired) sessionStorage.setItem(PLACE, JSON.stringify({ ...entry, lost: true }));
      return;
    }
    const form = $(`form[data-keep="${CSS.escape(entry.form)}"]`);
    const here = entry.path === location.pathname + location.search && entry.person === document.body.dataset.person;
    if (!entry.lost || !here || !form) { if (document.body.dataset.person) sessionStorage.removeItem(PLACE); return; }
    sessionStorage.removeItem(PLACE);
    for (const box of $$("input[type=checkbox], input[type=radio]", form)) box.checked = false;
    for (const [name, value] of entry.fields) {
      for (const field of $$(`[name="${CSS.escape(name)}"]`, form)) {
        if (field.matches("[type=checkbox], [type=radio]")) field.checked ||= field.value === value;
        else if (field.type !== "hidden" || "kept" in field.dataset) field.value = value;
      }
    }
    // What came back is to be seen before it is sent again.
    for (const text of $$("textarea[data-was]", form)) if (text.value !== text.dataset.was) text.closest("details")?.setAttribute("open", "");
    form.dataset.restored = "1";
    const note = $("#kept-note");
    if (!note) return;
    $("#notices").append(note.content.cloneNode(true));
    $("#notices").lastElementChild.dataset.of = entry.form;
  }
  restore();
  // What came back was handed in: another form stands in its place.
  document.addEventListener("htmx:afterSwap", () => $$("#notices [data-of]").forEach((n) => {
    if (!$(`form[data-keep="${CSS.escape(n.dataset.of)}"]`)) n.remove();
  }));

  // htmx: the token with every request, a login that ended said where it is seen.
  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = token(); });
  document.addEventListener("htmx:afterRequest", (event) => {
    const gone = event.detail.xhr?.status === 401 && event.detail.xhr.getResponseHeader("X-Login");
    const form = event.detail.elt?.closest?.("form[data-keep]");
    if (gone && form) { keep(form); }
    // What was wrong is over once something goes well.
    if (event.detail.successful) $$("#notices .notice.stop").forEach((n) => n.remove());
  });
  document.addEventListener("htmx:sendError", () => {
    const note = $("#offline-note");
    if (note && !$("#notices .offline")) $("#notices").append(note.content.cloneNode(true));
  });
  document.addEventListener("htmx:afterOnLoad", () => $$("#notices .offline").forEach((n) => n.remove()));
  window.wardround = { token };
})();
