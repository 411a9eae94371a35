"""Batches of text columns, which is all that the readers make of pyarrow."""


class Table:
    def __init__(self, columns, names):
        self.columns, self.names = columns, list(names)


def string():
    return None


def array(values, kind=None):
    return list(values)


def table(columns, names):
    return Table(columns, names)
