"""Groups of commands, one module each; thin over tested functions."""
