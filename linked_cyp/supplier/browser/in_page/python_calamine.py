"""Workbooks cannot be read in a browser: each is refused as a file that cannot be opened."""


class CalamineError(Exception):
    pass


class PasswordError(CalamineError):
    pass


class CalamineWorkbook:
    @classmethod
    def from_path(cls, *_, **__):
        raise CalamineError("workbooks are not read in the page")

    from_filelike = from_object = from_path
