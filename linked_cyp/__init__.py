"""linked_cyp: pseudonymised, linked, research-ready data about children and young people."""

__version__ = "0.1.0"
