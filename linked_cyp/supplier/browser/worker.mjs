// Python and DuckDB in one worker. It is started from a blob, so that the page's policy holds here
// too: nothing can be fetched but from the page's own folder.
let base, db, python;

function kind(type) {
  const name = String(type);
  if (name.startsWith("Date")) return "date";
  return name.startsWith("Timestamp") ? "timestamp" : "";
}

function converter(type) {
  const name = String(type);
  if (name.startsWith("Decimal")) return (v) => Number(String(v)) / 10 ** type.scale;
  if (name.startsWith("List")) {
    const inner = converter(type.children[0].type);
    return (v) => Array.from(v, (item) => (item === null ? null : inner(item)));
  }
  return (v) => (typeof v === "bigint" ? Number(v) : v);
}

function connect() {
  const connection = db.connect();
  return {
    query(sql) {
      let table;
      try {
        table = connection.query(sql);
      } catch (error) {
        return JSON.stringify({ error: String(error.message ?? error) });
      }
      const fields = table.schema.fields;
      const columns = fields.map((field, i) => {
        const column = table.getChildAt(i), convert = converter(field.type);
        return Array.from(column, (v) => (v === null || v === undefined ? null : convert(v)));
      });
      const rows = Array.from({ length: table.numRows }, (_, r) => columns.map((c) => c[r]));
      return JSON.stringify({
        names: fields.map((f) => f.name), kinds: fields.map((f) => kind(f.type)), rows,
      });
    },
    file(name, bytes) { db.registerFileBuffer(name, bytes.toJs()); },
    drop(name) { db.dropFile(name); },
    close() { connection.close(); },
  };
}

async function start(url) {
  base = url;
  const at = (path) => new URL(path, base).href;
  const [{ loadPyodide }, duckdb] = await Promise.all([
    import(at("pyodide/pyodide.mjs")), import(at("duckdb/duckdb-browser-blocking.mjs")),
  ]);
  const module = { mainModule: at("duckdb/duckdb-eh.wasm") };
  db = await duckdb.createDuckDB({ mvp: module, eh: module }, new duckdb.VoidLogger(), duckdb.BROWSER_RUNTIME);
  await db.instantiate(() => {});
  db.open({});
  const setup = db.connect();
  setup.query("SET autoinstall_known_extensions = false");
  setup.query("SET autoload_known_extensions = false");
  setup.close();
  python = await loadPyodide({ indexURL: at("pyodide/"), checkIntegrity: false });
  python.registerJsModule("linked_cyp_bridge", { connect });
  const app = await (await fetch(at("app.zip"))).arrayBuffer();
  python.unpackArchive(app, "zip", { extractDir: "/app" });
  python.runPython("import sys; sys.path.insert(0, '/app'); import page");
  return { feeds: JSON.parse(python.runPython("page.feeds()")) };
}

function check({ files, last, feed, values }) {
  for (const [folder, given] of [["/now", files], ["/before", last]]) {
    python.FS.mkdirTree(folder);
    for (const { name, bytes } of given) {
      python.FS.writeFile(`${folder}/${name}`, new Uint8Array(bytes));
    }
  }
  const run = python.runPython("page.check");
  return JSON.parse(run("/now", "/before", feed, values));
}

self.onmessage = async ({ data }) => {
  try {
    const answer = data.base ? await start(data.base) : check(data);
    self.postMessage(answer);
  } catch (error) {
    self.postMessage({ error: `the check could not be made: ${error.name ?? "unknown"}`, detail: data.base ? String(error) : "" });
  }
};

self.postMessage({ loaded: true });
