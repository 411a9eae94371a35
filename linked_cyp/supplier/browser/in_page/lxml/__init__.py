"""lxml's incremental parser as far as the readers use it, over expat."""
