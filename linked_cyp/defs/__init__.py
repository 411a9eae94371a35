"""Everything that knows Dagster. Thin wiring: each step calls imported, tested verbs."""
