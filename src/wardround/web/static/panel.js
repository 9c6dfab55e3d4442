// The panel's desk: what the chosen decision needs is shown, the draft is kept while it is written, keys decide.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const word = (name) => $(`[data-word="${name}"]`, $("#words").content).textContent;
  const form = () => $("#panel form");
  document.documentElement.classList.add("js");

  const decision = () => $("[name=decision]:checked", form())?.value ?? "";
  const version = () => ($("[name=version]:checked", form()) ?? $("[name=version][type=hidden]", form()))?.value ?? "0";
  const fields = () => $$(`.amend[data-version="${version()}"] [data-was]`, form());
  function show() {
    const f = form(), what = decision();
    for (const set of $$(".amend", f)) {
      const on = what === "amend" && set.dataset.version === version();
      set.classList.toggle("on", on);
      set.disabled = !on;
    }
    const wrong = what === "accept" && $("[name=version]:checked", f)?.hasAttribute("data-wrong");
    $(".wrong-answer", f)?.classList.toggle("on", Boolean(wrong));
    $(".which", f)?.classList.toggle("off", what === "reject");
    return wrong;
  }
  function problem() {
    if (!decision()) return [word("choose"), $("[name=decision]:not(:disabled)", form())];
    if (show()) return [$(".wrong-answer", form()).textContent, $("[value=amend]", form())];
    if (decision() === "amend" && fields().every((e) => e.value === e.dataset.was)) return [word("same"), fields()[0]];
    if (!$("[name=reason]", form()).value.trim()) return [word("reason"), $("[name=reason]", form())];
    return null;
  }
  document.addEventListener("change", (event) => {
    if (!form()?.contains(event.target)) return;
    show();
    if (!event.target.matches("textarea")) $(".missing", form()).textContent = "";
    later();
  });
  document.addEventListener("click", (event) => {
    // Chosen by its key (keys.js clicks it): what has to be written next has the cursor.
    const box = event.target.closest?.("[name=decision]");
    if (!box || event.isTrusted || !form()?.contains(box)) return;
    const wrong = show();
    const next = box.value === "amend" ? fields().find((e) => e.matches("textarea")) : wrong ? null : $("[name=reason]", form());
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  });

  // The draft
  function body() {
    const f = form(), amended = {};
    for (const e of $$("[data-was]", f)) {
      if (e.value === e.dataset.was) continue;
      const [, of, ...part] = e.name.split(".");
      (amended[of] ??= {})[part.join(".")] = e.value;
    }
    return { decision: decision(), version: Number(version()), reason: $("[name=reason]", f).value, amended };
  }
  const { later, stop, begin: drafting } = window.wardround.draft({ form, body, url: (f) => `/panel/${f.dataset.item}/draft` });

  // Handing in
  document.addEventListener("submit", (event) => {
    const f = form();
    if (event.target !== f) return;
    const wrong = problem();
    if (wrong) {
      event.preventDefault(); event.stopImmediatePropagation();
      $(".missing", f).textContent = wrong[0];
      wrong[1]?.focus();
      return;
    }
    stop();
    f.dataset.leaving = "1";
  }, true);
  document.addEventListener("htmx:afterRequest", (event) => {
    const f = form();
    if (event.detail.successful || !f) return;
    delete f.dataset.leaving; // it stays here: whatever was written is still on the page
    show();
    later();
  });
  // The decision is never taller than what is left of the window below it, so that its button is in sight.
  function fit() {
    const box = $(".verdict");
    box?.style.setProperty("--above", `${Math.max(Math.round(box.getBoundingClientRect().top), 10)}px`);
  }
  for (const what of ["scroll", "resize"]) addEventListener(what, () => requestAnimationFrame(fit), { passive: true });

  function begin() {
    stop();
    fit();
    const f = form();
    if (!f) return;
    f.noValidate = true; // what is missing is said below, in the page's language
    drafting();
    show();
  }
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!$("#panel") || event.detail.target?.id === "notices") return;
    begin();
    // Another item: htmx keeps the cursor in the field of the same name, where a key would be a letter.
    $("#panel h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  });
  begin();
})();
