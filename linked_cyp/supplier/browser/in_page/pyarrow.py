"""Batches of text columns, which is all that the readers make of pyarrow."""


class Table:
    def __init__(self, columns, names):
        self.columns, self.names = columns, list(names)


def string():
    return None


int32 = int64 = string


def array(values, kind=None):
    return list(values)


def table(columns, names=None):
    if names is None:
        columns, names = list(columns.values()), list(columns)
    return Table(columns, names)
