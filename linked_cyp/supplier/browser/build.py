"""Write the static folder of the validator page: ``python -m linked_cyp.supplier.browser.build``.

Everything comes from what the command uses: the modules that the validator imports, the contracts
as they are loaded, the rules as they are written. npm's packages (versions and hashes in
package-lock.json) lie in a folder that ``npm ci`` filled, beside it the reader of workbooks as it
is built for browsers (version and hash in requirements.lock).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.pages import render, write_page

HERE = Path(__file__).resolve().parent
# Stamp of every member, so that the same sources give the same archive.
_STAMP = (2020, 1, 1, 0, 0, 0)
_PURE = ("jinja2", "markupsafe", "ftfy", "wcwidth")
_PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
_DUCKDB = ("duckdb-eh.wasm",)
_WORKBOOKS = "python_calamine-*wasm32.whl"
_NEEDED = """
import json, sys
import linked_cyp.supplier.validation, linked_cyp.supplier.validation_output
import linked_cyp.expectations, linked_cyp.identity.macros, markupsafe._native
print(json.dumps({n: m.__file__ for n, m in sys.modules.items()
    if n.split(".")[0] in ("linked_cyp", *sys.argv[1:]) and getattr(m, "__file__", None)}))
"""


def build(target: Path, packages: Path, contracts_folder: Path | None = None) -> Path:
    """Write the page's folder.

    Args:
        target: the folder; what is in it is replaced.
        packages: the ``node_modules`` with ``pyodide``, ``@duckdb/duckdb-wasm``, ``apache-arrow``;
            the wheel of ``python_calamine`` lies beside it.
        contracts_folder: the contracts; by default the project's.

    Raises:
        LinkedCypError: a package is missing.
    """
    pyodide, duckdb = packages / "pyodide", packages / "@duckdb" / "duckdb-wasm" / "dist"
    wheels = sorted(packages.parent.glob(_WORKBOOKS))
    if not pyodide.is_dir() or not duckdb.is_dir() or not wheels:
        raise LinkedCypError("the packages of the page are missing: run make validator-page")
    shutil.rmtree(target, ignore_errors=True)
    for name in ("pyodide", "duckdb"):
        (target / name).mkdir(parents=True)
    for name in _PYODIDE:
        shutil.copy(pyodide / name, target / "pyodide" / name)
    # Python's own part asks for the list of further packages; the page has none.
    lock = json.loads((pyodide / "pyodide-lock.json").read_text(encoding="utf-8"))
    text = json.dumps(lock | {"packages": {}})
    (target / "pyodide" / "pyodide-lock.json").write_text(text, encoding="utf-8")
    for name in _DUCKDB:
        shutil.copy(duckdb / name, target / "duckdb" / name)
    module = (duckdb / "duckdb-browser-blocking.mjs").read_text(encoding="utf-8")
    module = module.replace("import*as ", "import ").replace('"apache-arrow"', '"./arrow.mjs"')
    (target / "duckdb" / "duckdb-browser-blocking.mjs").write_text(module, encoding="utf-8")
    arrow = (packages / "apache-arrow" / "Arrow.es2015.min.js").read_text(encoding="utf-8")
    arrow = f"const exports = {{}}, module = {{}};\n{arrow}\nexport default exports;\n"
    (target / "duckdb" / "arrow.mjs").write_text(arrow, encoding="utf-8")
    contracts = contracts_folder or PROJECT_ROOT / "data_contracts"
    (target / "app.zip").write_bytes(_app(contracts, wheels[-1]))
    for name in ("worker.mjs", "page.mjs"):
        shutil.copy(HERE / name, target / name)
    script = (HERE.parent / "children.js").read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    write_page(render("supplier/browser/index.html.j2", digest=digest), target / "index.html")
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # to be served, and without secrets
    target.chmod(0o755)
    return target


def _app(contracts_folder: Path, wheel: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, zipfile.ZipFile(wheel) as w:
        library = [(n, w.read(n)) for n in w.namelist() if n.endswith((".py", ".so"))]
        for name, content in sorted([*_members(contracts_folder), *library]):
            archive.writestr(zipfile.ZipInfo(name, _STAMP), content)
    return packed.getvalue()


def _members(contracts_folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the program in the page, by its name there."""
    found = subprocess.run(
        [sys.executable, "-c", _NEEDED, *_PURE], capture_output=True, check=True, text=True
    )
    for name, file in json.loads(found.stdout).items():
        if file.endswith(".py"):
            inner = "/__init__.py" if file.endswith("__init__.py") else ".py"
            yield name.replace(".", "/") + inner, Path(file).read_bytes()
    package = PROJECT_ROOT / "linked_cyp"
    beside = (*(package / "supplier").glob("*.j2"), package / "supplier" / "children.js")
    beside += (package / "pages" / "base.html.j2",)
    for file in beside:
        yield file.relative_to(PROJECT_ROOT).as_posix(), file.read_bytes()
    for file in (HERE / "in_page").rglob("*.py"):
        yield file.relative_to(HERE / "in_page").as_posix(), file.read_bytes()
    for file in (contracts_folder / "rules").glob("*/*.yaml"):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        name = f"data_contracts/{file.relative_to(contracts_folder).as_posix()}"
        yield name, json.dumps(document).encode()
    for file in (contracts_folder / "codesets").glob("*.csv"):
        yield f"data_contracts/codesets/{file.name}", file.read_bytes()
    yield "contracts.pickle", pickle.dumps(load_contracts(contracts_folder))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the validator page's static folder.")
    parser.add_argument("target", type=Path)
    parser.add_argument("packages", type=Path)
    given = parser.parse_args(arguments)
    print(f"Wrote {build(given.target, given.packages)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
