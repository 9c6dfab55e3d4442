// Words chosen by keyboard where nothing was selected: sentence by sentence, then letter by letter at both ends. What is
// chosen is the browser's own selection, so it is seen, read out and marked like one made by mouse.
"use strict";
(() => {
  const ENDS = /[。！？；!?;\n]+[”’」』）)]*|\.(?=\s)/gu;
  // The sentences of a text as [from, to): blanks around them left out.
  function sentences(text) {
    const found = [];
    let at = 0;
    for (const end of [...[...text.matchAll(ENDS)].map((m) => m.index + m[0].length), text.length]) {
      const words = text.slice(at, end), from = at + words.length - words.trimStart().length;
      if (words.trim()) found.push([from, from + words.trim().length]);
      at = end;
    }
    return found;
  }
  // `parts()`: the paragraphs in their order; `mark()`: marks the selection; `tell(selected)`: "" when it is over.
  window.wardround.marking = ({ parts, mark, tell }) => {
    let on = false, places = [], first = 0, last = 0, from = 0, to = 0;
    const part = () => places[first].part;
    function begin() {
      places = parts().flatMap((p) => sentences(p.textContent).map(([a, b]) => ({ part: p, from: a, to: b })));
      if (!places.length) return false;
      on = true;
      first = last = 0;
      whole();
      return true;
    }
    function whole() { from = places[first].from; to = places[last].to; show(); }
    function show() {
      const range = document.createRange();
      for (const [name, wanted] of [["setStart", from], ["setEnd", to]]) {
        const walk = document.createTreeWalker(part(), NodeFilter.SHOW_TEXT);
        let left = wanted;
        for (let node = walk.nextNode(); node; node = walk.nextNode()) {
          if (left <= node.data.length) { range[name](node, left); break; }
          left -= node.data.length;
        }
      }
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      const box = range.getBoundingClientRect();
      if (box.top < 0 || box.bottom > innerHeight) scrollBy(0, box.top - innerHeight / 3);
      tell(range.toString());
    }
    function end() { on = false; getSelection().removeAllRanges(); tell(""); }
    function sentence(step, more) {
      if (more) {
        const next = last + step;
        if (next < first || places[next]?.part !== part()) return;
        last = next;
      } else first = last = Math.max(0, Math.min((step > 0 ? last : first) + step, places.length - 1));
      whole();
    }
    // One character, which may be two code units.
    function letter(step, atEnd) {
      const text = part().textContent, at = atEnd ? to : from;
      const moved = step > 0 ? at + String.fromCodePoint(text.codePointAt(at) ?? 0).length : at - (/[\uDC00-\uDFFF]/.test(text[at - 1] ?? "") ? 2 : 1);
      if (moved < 0 || moved > text.length || (atEnd ? moved <= from : moved >= to)) return;
      if (atEnd) to = moved; else from = moved;
      show();
    }
    const STEPS = { ArrowDown: 1, j: 1, J: 1, ArrowUp: -1, k: -1, K: -1 }, LETTERS = { ArrowRight: 1, ArrowLeft: -1 };
    document.addEventListener("keydown", (event) => {
      if (!on || event.isComposing || event.key === "Shift" || document.querySelector("dialog[open]")) return;
      if (!part().isConnected) { on = false; return; }
      const plain = !(event.ctrlKey || event.metaKey || event.altKey);
      if (plain && event.key in STEPS) sentence(STEPS[event.key], event.shiftKey);
      else if (plain && event.key in LETTERS) letter(LETTERS[event.key], event.shiftKey);
      else if (plain && (event.key === "Enter" || event.key === "m")) { on = false; tell(""); mark(); }
      else if (event.key === "Escape") end();
      else { if (event.key !== "?") end(); return; }
      event.preventDefault();
      event.stopPropagation();
    }, true);
    document.addEventListener("pointerdown", () => { if (on) { on = false; tell(""); } });
    return begin;
  };
})();
