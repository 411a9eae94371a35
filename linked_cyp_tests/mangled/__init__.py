"""A machine that mangles: every delivery, spoilt in every way that is known, is never believed."""
