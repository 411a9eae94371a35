"""What the worker calls: a check of the files that were handed over, as the command makes it."""

import json
import pickle
import shutil
import sys
import traceback
from pathlib import Path

import absent

absent.install()
from linked_cyp.core.errors import LinkedCypError  # noqa: E402
from linked_cyp.expectations import contract_rules  # noqa: E402, F401
from linked_cyp.identity.macros import create_macros  # noqa: E402, F401
from linked_cyp.ingest.readers import SourceFile  # noqa: E402
from linked_cyp.supplier.validation import validate_files  # noqa: E402
from linked_cyp.supplier.validation_output import (  # noqa: E402
    as_children,
    as_csv,
    as_page,
)

absent.imported()
APP = Path(__file__).resolve().parent
CONTRACTS = pickle.loads((APP / "contracts.pickle").read_bytes())


def feeds():
    return json.dumps({name: contract.title for name, contract in CONTRACTS.items()})


def check(folder, last, feed, values):
    """The report as JSON of its page, CSV and page by child; or one sentence."""
    try:
        report = validate_files(
            CONTRACTS,
            _files(folder),
            feed=feed or None,
            whole=len(list(Path(folder).iterdir())) > 1,
            last=_files(last),
            last_whole=len(list(Path(last).iterdir())) > 1,
            values=values,
        )
        return json.dumps(
            {
                "page": as_page(report),
                "csv": as_csv(report),
                "children": as_children(report) if values else "",
                "report": report.to_json(),
                "feed": report.feed,
            }
        )
    except LinkedCypError as error:
        return json.dumps({"error": str(error)})
    except Exception as error:  # its message may quote a value
        where = traceback.extract_tb(sys.exc_info()[2])[-1]
        sentence = f"unexpected {type(error).__name__} ({where.name}:{where.lineno})"
        return json.dumps({"error": sentence})
    finally:
        for place in (folder, last):
            shutil.rmtree(place, ignore_errors=True)


def _files(folder):
    paths = sorted(Path(folder).iterdir(), key=lambda path: path.name)
    return [SourceFile(index, path.name, path) for index, path in enumerate(paths)]
