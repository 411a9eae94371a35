// Search: shows the tables and variables that hold every word asked for. The page reads well without.
(() => {
  const field = document.getElementById("search");
  const status = document.getElementById("found");
  const plain = (text) => text.toLowerCase().replace(/[_\s]+/g, " ");
  const tables = [...document.querySelectorAll("section.table")].map((node) => ({
    node,
    link: document.querySelector(`.index a[href="#${node.id}"]`)?.closest("li"),
    text: plain(node.querySelector(".about").textContent),
    variables: [...node.querySelectorAll(".variable")].map((row) => ({ row, text: plain(row.textContent) })),
  }));
  const groups = [...document.querySelectorAll("[data-group]")];
  document.documentElement.classList.add("scripted");

  function search() {
    const words = plain(field.value).split(" ").filter(Boolean);
    const has = (text) => words.every((word) => text.includes(word));
    let variables = 0;
    let shown = 0;
    for (const table of tables) {
      const whole = has(table.text);
      let any = whole;
      for (const variable of table.variables) {
        const hit = whole || has(`${table.node.id.replace(/_/g, " ")} ${variable.text}`);
        variable.row.hidden = !hit;
        any ||= hit;
        variables += hit;
      }
      table.node.hidden = !any;
      table.node.classList.toggle("part", any && !whole);
      if (table.link) table.link.hidden = !any;
      shown += any;
    }
    for (const group of groups) group.hidden = !group.querySelector("section.table:not([hidden]), li:not([hidden])");
    document.documentElement.classList.toggle("searching", words.length > 0);
    const many = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
    status.textContent = words.length
      ? shown ? `${many(variables, "variable")} in ${many(shown, "table")}` : "Nothing found. Try fewer or other words."
      : "";
  }
  let wait;
  field.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(search, 120); });
  field.form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
  field.form.addEventListener("reset", () => setTimeout(search));
  search();
})();
