"""One frame of person records, linked in one call: no stores, no contracts."""

from linked_cyp.linkage.link.one_call import Linked, link

__all__ = ["Linked", "link"]
