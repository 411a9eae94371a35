"use strict";
(() => {
  const form = document.getElementById("sheet");
  const sheet = form.dataset.sheet;
  const cards = [...form.querySelectorAll(".pair")];
  const status = document.getElementById("progress");
  const bar = document.getElementById("progress-bar");
  const place = "linked_cyp review " + sheet;
  const keys = { s: "same", d: "different", u: "unsure" };
  let unsaved = false;

  const chosen = (card) => card.querySelector("input[type=radio]:checked");
  const note = (card) => card.querySelector("input[type=text]");
  const remember = (act) => { try { return act(); } catch { return null; } };

  const state = () => Object.fromEntries(cards
    .map((card) => [card.dataset.number, [chosen(card)?.value ?? "", note(card).value]])
    .filter(([, [decision, text]]) => decision || text));

  const show = () => {
    const done = cards.filter(chosen).length;
    status.textContent = done + " of " + cards.length + " pairs decided" +
      (unsaved ? ", not saved yet" : "");
    bar.value = done;
    cards.forEach((card) => card.classList.toggle("done", Boolean(chosen(card))));
  };

  const changed = () => {
    unsaved = true;
    remember(() => localStorage.setItem(place, JSON.stringify(state())));
    show();
  };

  const restore = () => {
    const before = remember(() => JSON.parse(localStorage.getItem(place))) ?? {};
    for (const card of cards) {
      const [decision, text] = before[card.dataset.number] ?? ["", ""];
      const input = decision && card.querySelector(`input[value="${CSS.escape(decision)}"]`);
      if (input) input.checked = true;
      if (text) note(card).value = text;
    }
  };

  const goTo = (card) => {
    if (!card) return;
    card.scrollIntoView({ block: "start" });
    (chosen(card) ?? card.querySelector("input[type=radio]")).focus({ preventScroll: true });
  };

  const next = (card) => {
    const after = cards.slice(cards.indexOf(card) + 1).concat(cards);
    return after.find((other) => !chosen(other));
  };

  const cell = (text) => /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;

  const save = () => {
    const rows = Object.entries(state()).map(([number, [decision, text]]) =>
      [sheet, number, decision, text.replace(/\s+/g, " ").trim()].map(cell).join(","));
    const file = new Blob([[form.dataset.columns, ...rows].join("\r\n") + "\r\n"],
      { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "review-" + sheet + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    unsaved = false;
    show();
  };

  // Letters count only while the focus is inside a pair, so they disturb no other tool.
  form.addEventListener("keydown", (event) => {
    const card = event.target.closest(".pair");
    const word = keys[event.key.toLowerCase()];
    if (!card || !word || event.target.type === "text") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    card.querySelector(`input[value="${word}"]`).checked = true;
    changed();
    goTo(next(card));
  });
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("save").addEventListener("click", save);
  document.getElementById("start").addEventListener("click", () =>
    goTo(cards.find((card) => !chosen(card)) ?? cards[0]));
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  restore();
  document.documentElement.classList.add("scripted");
  show();
})();
