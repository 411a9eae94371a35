// Pick a child: what is typed is looked for in the children's ids, and nothing leaves the page.
const find = document.getElementById("find");
const count = document.getElementById("count");
const children = [...document.querySelectorAll("details.child")];
document.getElementById("picking").hidden = false;
find.addEventListener("input", () => {
  const wanted = find.value.trim().toLowerCase();
  const shown = children.filter((child) => {
    const fits = child.dataset.name.toLowerCase().includes(wanted);
    child.hidden = !fits;
    return fits;
  });
  if (shown.length === 1) shown[0].open = true;
  count.textContent = `${shown.length} of ${children.length} children`;
});
