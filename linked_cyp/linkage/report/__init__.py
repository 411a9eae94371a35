"""How good a linkage run is, kept as measures and told on a page.

:func:`write_report` measures the newest run (against truth where it is known, else from match
weights), keeps the measures in ``warehouse.linkage.quality`` and writes an offline HTML page.
"""
