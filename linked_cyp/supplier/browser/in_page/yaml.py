"""The rules are written as JSON into the page, which is YAML that needs no library."""

import json

SafeLoader = None


def load(text, Loader=None):
    return json.loads(text)
