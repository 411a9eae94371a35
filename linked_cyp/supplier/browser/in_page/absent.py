"""Libraries that modules name at their head and the validator never calls in a browser.

While the modules are imported their names stand for nothing in particular; afterwards any use of
one is an error.
"""

import importlib.abc
import importlib.machinery
import sys
import types

NAMES = frozenset(
    {"polars", "pydantic", "sqlalchemy", "open_data_contract_standard", "numpy", "lxml.html"}
)
_importing = True


class _Nothing(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _used(name)

    def __getitem__(cls, _):
        return _used("[]")

    def __or__(cls, _):
        return _used("|")

    def __ror__(cls, _):
        return _used("|")


def _used(name):
    if not _importing:
        raise ModuleNotFoundError(f"{name} is of a library that is not in the page")
    return _Nothing(name, (), {"__new__": lambda cls, *_, **__: _used(name)})


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _used(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def install():
    sys.meta_path.insert(0, _Finder())


def imported():
    """The modules are imported: from now on nothing may lean on what is absent."""
    global _importing
    _importing = False
