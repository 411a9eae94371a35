// Files in, report out. The files go to a worker in this browser and nowhere else.
const base = new URL(".", location.href).href;
const at = (id) => document.getElementById(id);
// A worker of its own address would not have the page's policy; one made from a blob has.
const source = `import(${JSON.stringify(new URL("worker.mjs", base).href)});`;
const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
const chosen = { now: [], before: [] };
let urls = [];

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").className = bad ? "bad" : "";
}

function choose(which, files) {
  chosen[which] = [...files];
  at(`${which}-list`).textContent = chosen[which].map((f) => f.name).join(", ") || "none yet";
  at("check").disabled = !chosen.now.length || !at("feed").options.length;
}

function answered(data) {
  if (data.loaded) {
    worker.postMessage({ base });
    return;
  }
  at("check").disabled = false;
  if (data.feeds) {
    at("feed").append(new Option("found from the files", ""));
    for (const [name, title] of Object.entries(data.feeds)) at("feed").append(new Option(title, name));
    say("Ready. Choose or drop the files of one return.");
    at("check").disabled = !chosen.now.length;
    document.body.dataset.state = "ready";
    return;
  }
  if (data.error) {
    say(data.error + (data.detail ? `: ${data.detail}` : ""), true);
    document.body.dataset.state = "failed";
    return;
  }
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  at("downloads").replaceChildren();
  for (const [name, text, type] of [
    ["validation.html", data.page, "text/html"], ["validation.csv", data.csv, "text/csv"],
    ["children.html", data.children, "text/html"],
  ]) {
    if (!text) continue;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    urls.push(link.href);
    link.download = name;
    link.textContent = `Save ${name}`;
    const item = document.createElement("li");
    item.append(link);
    at("downloads").append(item);
  }
  at("report").srcdoc = data.page;
  at("children").srcdoc = data.children || "";
  at("children").hidden = !data.children;
  at("result").hidden = false;
  window.answer = data;
  say("Done. The report is below.");
  document.body.dataset.state = "done";
  at("result-title").focus();
}

worker.addEventListener("message", ({ data }) => answered(data));
worker.addEventListener("error", () => say("This browser cannot run the check.", true));

for (const which of ["now", "before"]) {
  at(which).addEventListener("change", (event) => choose(which, event.target.files));
}
const drop = at("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  choose("now", event.dataTransfer.files);
});
at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("check").disabled = true;
  document.body.dataset.state = "checking";
  say("Checking…");
  const read = (files) => Promise.all(files.map(async (f) => ({ name: f.name, bytes: await f.arrayBuffer() })));
  const [files, last] = [await read(chosen.now), await read(chosen.before)];
  const buffers = [...files, ...last].map((f) => f.bytes);
  worker.postMessage({ files, last, feed: at("feed").value, values: at("values").checked }, buffers);
});
