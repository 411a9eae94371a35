"""A synthetic population of children with known truth, written in every feed's native format."""

from linked_cyp.synthetic.synthesis import Summary, synthesise

__all__ = ["Summary", "synthesise"]
