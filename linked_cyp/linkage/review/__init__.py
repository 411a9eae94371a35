"""Clerical review without identifiers: sample pairs, show how they agree, keep the decisions."""
