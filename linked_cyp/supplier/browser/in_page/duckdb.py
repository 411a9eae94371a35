"""DuckDB's Python module as far as the validator uses it, over DuckDB-WASM in the same worker.

``linked_cyp_bridge`` is made in worker.mjs: statements go in as text, results come back as JSON.
Parameters are written into the statement as literals.
"""

import csv
import datetime
import io
import json
import re

import linked_cyp_bridge

_EPOCH = datetime.datetime(1970, 1, 1)
_PLACES = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?|\$\d+")
_FILES = re.compile(r"read_csv\('((?:[^']|'')*)'")
_names = iter(f"file{n}" for n in range(10**9))


class Error(Exception):
    pass


class CatalogException(Error):
    pass


def _error(message):
    return (CatalogException if message.startswith("Catalog Error") else Error)(message)


def connect(database=":memory:", config=None):
    return DuckDBPyConnection()


class DuckDBPyRelation:
    """A query, run when somebody looks at it."""

    def __init__(self, con, sql):
        self._con, self._sql = con, sql

    def _described(self):
        return self._con.execute(f"DESCRIBE ({self._sql})").fetchall()

    @property
    def columns(self):
        return [row[0] for row in self._described()]

    @property
    def types(self):
        return [row[1] for row in self._described()]

    def select(self, columns):
        return DuckDBPyRelation(self._con, f"SELECT {columns} FROM ({self._sql})")

    def fetchall(self):
        return self._con.execute(self._sql).fetchall()


class DuckDBPyConnection:
    def __init__(self):
        self._bridge = linked_cyp_bridge.connect()
        self._rows = []
        self._kept = {}
        # The record of a refused row is for quarantine; the validator never reads it.
        self.execute("CREATE OR REPLACE TEMP MACRO to_json(x) AS x::VARCHAR")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bridge.close()

    def close(self):
        self._bridge.close()

    def execute(self, sql, parameters=()):
        sql = _filled(sql, parameters)
        sql, files = self._with_files(sql)
        try:
            answer = json.loads(self._bridge.query(sql))
        finally:
            for name in files:
                self._bridge.drop(name)
        if "error" in answer:
            raise _error(answer["error"])
        self._rows = [_row(answer["kinds"], row) for row in answer["rows"]]
        self.description = [(name,) for name in answer["names"]]
        return self

    def fetchall(self):
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self):
        return self._rows.pop(0) if self._rows else None

    def sql(self, query):
        query = query.strip()
        if query.upper().startswith("FROM"):
            query = f"SELECT * {query}"
        return DuckDBPyRelation(self, query)

    def table(self, name):
        return self.sql(f"FROM {name}")

    def register(self, name, source):
        if isinstance(source, DuckDBPyRelation):
            self.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {source._sql}')
            return
        file = next(_names)
        text = io.StringIO()
        lines = csv.writer(text, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        lines.writerow(["place", *source.names])
        lines.writerows(([n, *row] for n, row in enumerate(zip(*source.columns, strict=True))))
        self._bridge.file(file, text.getvalue().encode())
        self._kept[name] = file
        kinds = zip(source.names, (column.kind for column in source.columns), strict=True)
        types = ", ".join(f"'{n}': '{kind}'" for n, kind in [("place", "BIGINT"), *kinds])
        self._run(
            f'CREATE OR REPLACE TEMP VIEW "{name}" AS SELECT * EXCLUDE (place) FROM read_csv('
            f"'{file}', columns = {{{types}}}, auto_detect = false, header = true, delim = ',', "
            "quote = '\"', escape = '\"', strict_mode = true, nullstr = '')"
        )

    def unregister(self, name):
        self.execute(f'DROP VIEW IF EXISTS temp."{name}"')
        if file := self._kept.pop(name, None):
            self._bridge.drop(file)

    def _run(self, sql):
        answer = json.loads(self._bridge.query(sql))
        if "error" in answer:
            raise _error(answer["error"])

    def _with_files(self, sql):
        """Hand the files that a statement reads to DuckDB, which cannot see Python's."""
        files = []

        def handed(found):
            path = found[1].replace("''", "'")
            if path in self._kept.values():
                return found[0]
            files.append(next(_names))
            with open(path, "rb") as file:
                self._bridge.file(files[-1], file.read())
            return f"read_csv('{files[-1]}'"

        return _FILES.sub(handed, sql), files


def _filled(sql, parameters):
    if not parameters:
        return sql
    given = iter(parameters)

    def literal(found):
        text = found[0]
        if text == "?":
            return _literal(next(given))
        return _literal(parameters[int(text[1:]) - 1]) if text[0] == "$" else text

    return _PLACES.sub(literal, sql)


def _literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    kind = ""
    if isinstance(value, datetime.date):
        kind = "TIMESTAMP " if isinstance(value, datetime.datetime) else "DATE "
    return f"{kind}'{str(value).replace(chr(39), chr(39) * 2)}'"


def _row(kinds, row):
    if not any(kinds):
        return tuple(row)
    return tuple(
        _moment(kind, value) if kind and value is not None else value
        for kind, value in zip(kinds, row, strict=True)
    )


def _moment(kind, milliseconds):
    moment = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    return moment.date() if kind == "date" else moment
