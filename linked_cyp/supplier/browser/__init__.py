"""The validator in a web browser: the same Python and SQL as the command, in WebAssembly.

``build`` writes the static folder. What the browser lacks is stood in for by ``in_page``: DuckDB's
Python module over DuckDB-WASM, lxml's parser over expat, and the batches of pyarrow. Nothing of
the readers, contracts, rules or words is written a second time. See
docs/decisions/validator_in_the_browser.md.
"""
