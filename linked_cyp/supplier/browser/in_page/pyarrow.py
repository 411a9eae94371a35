"""Batches of typed columns, which is all that the readers make of pyarrow."""


class Column(list):
    """Values of one of DuckDB's types."""

    def __init__(self, values, kind):
        super().__init__(values)
        self.kind = kind


class Table:
    def __init__(self, columns, names):
        self.columns, self.names = columns, list(names)


def string():
    return "VARCHAR"


def int32():
    return "INTEGER"


def int64():
    return "BIGINT"


def array(values, kind=None):
    """Without a kind, text: the readers name the kind of everything else."""
    return Column(values, kind or string())


def table(columns, names=None):
    if names is None:
        columns, names = list(columns.values()), list(columns)
    return Table(columns, names)
