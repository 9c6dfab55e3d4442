// The reviewer's page: number keys score the field that is marked, the draft is kept while it is written, words are
// marked where they stand. The form itself works without this file.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const word = (name) => $(`[data-word="${name}"]`, $("#words").content).textContent;
  const form = () => $("#desk form.task");
  let now = 0; // the field that takes the next number key
  let started = performance.now(), hiddenFor = 0, hiddenAt = 0;

  // Fields
  const fields = () => $$(".judged", form() ?? document.createElement("i"));
  const answered = (f) => $$("input:checked", f).length > 0;
  // `moved`: by a key. Only then the page goes along; an item that comes is seen from its question on.
  function point(index, moved = false) {
    const all = fields(), box = $(".asked");
    now = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((f, i) => f.classList.toggle("now", i === now));
    if (moved) all[now]?.scrollIntoView({ block: "nearest" });
    else if (all[now]) box.scrollTop += Math.max(0, all[now].getBoundingClientRect().bottom - box.getBoundingClientRect().bottom);
  }
  function explain(f) { $(".anchor", f).textContent = $("input:checked", f)?.dataset.anchor ?? ""; }
  function score(number) {
    const f = fields()[now];
    const box = f && $$("input", f)[number - 1];
    if (!box) return;
    box.checked = box.type === "checkbox" ? !box.checked : true;
    changed(f);
    if (box.type !== "checkbox") {
      const all = fields();
      const next = all.findIndex((g, i) => i > now && !answered(g));
      point(next >= 0 ? next : Math.min(now + 1, all.length - 1), true);
    }
  }
  function changed(f) { explain(f); f.classList.remove("wanted"); $(".missing").textContent = ""; later(); }
  function missing() {
    const left = fields().filter((f) => !answered(f) && !f.hasAttribute("data-optional"));
    fields().forEach((f) => f.classList.toggle("wanted", left.includes(f)));
    $(".missing").textContent = left.length ? word("missing") + left.map((f) => $("legend", f).firstChild.textContent.trim()).join("、") : "";
    if (left.length) point(fields().indexOf(left[0]), true);
    return left.length > 0;
  }
  document.addEventListener("keydown", (event) => {
    if (!form() || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const t = event.target;
    if (t.matches?.("textarea, select, input:not([type=radio], [type=checkbox])")) return;
    if (/^[1-9]$/.test(event.key)) { event.preventDefault(); score(Number(event.key)); }
    else if (event.key === "0" && $(".levels.ten", fields()[now])) { event.preventDefault(); score(10); }
    else if (event.key === "ArrowDown" || event.key === "j") { event.preventDefault(); point(now + 1, true); }
    else if (event.key === "ArrowUp" || event.key === "k") { event.preventDefault(); point(now - 1, true); }
    else if (event.key === "Enter" && t.matches("input")) { event.preventDefault(); $(".send").click(); }
  });
  document.addEventListener("change", (event) => {
    const f = event.target.closest?.(".judged");
    if (f) { point(fields().indexOf(f)); changed(f); }
  });
  document.addEventListener("focusin", (event) => {
    const f = event.target.closest?.(".judged");
    if (f) point(fields().indexOf(f), event.target.matches(":focus-visible")); // reached by Tab, not by a click
  });

  // Marks: offsets count characters (code points), as the server does.
  const spans = () => JSON.parse($("[name=spans]", form()).value || "[]");
  function setSpans(list) { $("[name=spans]", form()).value = JSON.stringify(list); drawMarks(); later(); }
  const points = (text) => Array.from(text).length;
  function drawMarks() {
    const list = spans();
    for (const p of $$("[data-part]", form())) {
      const text = Array.from(p.textContent);
      const mine = list.filter((s) => s.part === p.dataset.part).sort((a, b) => a.start - b.start);
      p.replaceChildren();
      let at = 0;
      for (const s of mine) {
        if (s.start < at) continue;
        p.append(text.slice(at, s.start).join(""));
        const mark = document.createElement("mark");
        mark.textContent = text.slice(s.start, s.end).join("");
        p.append(mark);
        at = s.end;
      }
      p.append(text.slice(at).join(""));
    }
    const shown = $(".marks", form());
    if (!shown) return;
    shown.replaceChildren(...list.map((s, i) => {
      const li = document.createElement("li"), q = document.createElement("q"), note = document.createElement("input"), off = document.createElement("button");
      const part = $(`[data-part="${CSS.escape(s.part)}"]`, form());
      q.textContent = Array.from(part?.textContent ?? "").slice(s.start, s.end).join("");
      note.value = s.note ?? ""; note.maxLength = 2000; note.placeholder = word("note"); note.setAttribute("aria-label", q.textContent);
      note.addEventListener("input", () => { const l = spans(); l[i].note = note.value; $("[name=spans]", form()).value = JSON.stringify(l); later(); });
      off.type = "button"; off.className = "small"; off.textContent = "×"; off.title = word("remove"); off.setAttribute("aria-label", word("remove"));
      off.addEventListener("click", () => setSpans(spans().filter((_, j) => j !== i)));
      li.append(q, note, off);
      return li;
    }));
  }
  function mark() {
    const selection = getSelection();
    const range = selection.rangeCount && !selection.isCollapsed ? selection.getRangeAt(0) : null;
    const part = range?.startContainer.parentElement?.closest("[data-part]");
    if (!part || !part.contains(range.endContainer)) return false;
    const before = document.createRange();
    before.selectNodeContents(part); before.setEnd(range.startContainer, range.startOffset);
    const start = points(before.toString()), end = start + points(range.toString());
    const list = spans().filter((s) => s.part !== part.dataset.part || s.end <= start || s.start >= end);
    setSpans([...list, { part: part.dataset.part, start, end, note: "" }]);
    selection.removeAllRanges();
    $(".marks li:last-child input")?.focus();
    return true;
  }
  const choose = window.wardround.marking({
    mark, parts: () => $$("[data-part]", form()),
    tell: (chosen) => {
      $(".state", form()).textContent = chosen && word("pick");
      $(".spoken", form()).textContent = chosen;
    },
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".mark") || !form() || mark()) return;
    // By its key, or by Enter on it (no pointer, so no count of clicks): words are chosen by keyboard.
    if (event.detail || !choose()) $(".state", form()).textContent = word("select");
  });
  // Only a fold that somebody opens takes the focus: one that comes open with a kept revision would catch the score keys.
  let opened = null;
  document.addEventListener("click", (event) => {
    const fold = event.target.closest?.("summary")?.parentElement;
    opened = fold?.matches("details.edit") && !fold.open ? fold : null;
  });
  document.addEventListener("toggle", (event) => {
    if (event.target === opened && opened.open) $("textarea", opened)?.focus();
    opened = null;
  }, true);

  // The draft
  function body() {
    const f = form(), scores = {}, revision = {};
    for (const field of fields()) {
      const numbers = (v) => (/^-?\d+$/.test(v) ? Number(v) : v);
      const values = $$("input:checked", field).map((b) => numbers(b.value));
      if (values.length) scores[field.dataset.field] = $("input", field).type === "checkbox" ? values : values[0];
    }
    for (const t of $$("[name^='revise.']", f)) if (t.value !== t.dataset.was) revision[t.name.slice(7)] = t.value;
    return { scores, comment: $("[name=comment]", f)?.value ?? "", spans: spans(), revision: Object.keys(revision).length ? revision : null };
  }
  const { later, stop, begin: drafting } = window.wardround.draft({
    form, body, url: (f) => `/review/${f.dataset.slug}/draft`,
    also: () => ({ seconds: spent() }), place: (f) => ({ item: Number($("[name=item]", f).value), round: Number($("[name=round]", f).value) }),
  });
  // Seconds that it was before somebody's eyes.
  const spent = () => Number((((hiddenAt || performance.now()) - started - hiddenFor) / 1000).toFixed(1));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = performance.now();
    else if (hiddenAt) { hiddenFor += performance.now() - hiddenAt; hiddenAt = 0; }
  });

  // Handing in
  document.addEventListener("submit", (event) => {
    const f = form();
    if (event.target !== f || event.submitter?.formNoValidate) return;
    if (f.dataset.task !== "revise" && missing()) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    $("[name=seconds]", f).value = spent();
    for (const t of $$("[name^='revise.']", f)) t.disabled = t.value === t.dataset.was;
    stop();
    f.dataset.leaving = "1";
  }, true);
  document.addEventListener("htmx:afterRequest", (event) => {
    const f = form();
    if (event.detail.successful || !f) return;
    delete f.dataset.leaving; // it stays here: whatever was written is still on the page
    for (const t of $$("[name^='revise.']", f)) t.disabled = false;
    later();
  });
  function begin() {
    // What was spent on it before (a login ran out, a tab was closed, it was taken back) counts on.
    const at = performance.now();
    started = at - 1000 * (Number($("[name=seconds]", form() ?? document)?.value) || 0); hiddenFor = 0; hiddenAt = document.hidden ? at : 0;
    stop();
    const f = form();
    if (!f) return;
    fields().forEach(explain);
    drawMarks();
    drafting(Boolean(f.dataset.restored)); // what came back after a login is no draft yet
    const first = fields().findIndex((g) => !answered(g));
    point(first < 0 ? 0 : first);
    fit();
  }
  // The scores are as tall as what is left of the window below them, whatever notices stand above.
  function fit() {
    const box = $(".judge", form() ?? document);
    if (box && !scrollY) box.style.setProperty("--above", `${Math.max(Math.round(box.getBoundingClientRect().top), 10)}px`);
  }
  // A notice that came in place of an answer leaves the page, and what is written on it, as it was.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!$("#desk")) return;
    if (event.detail.target?.id === "notices") return fit();
    scrollTo(0, 0); begin();
  });
  begin();
})();
