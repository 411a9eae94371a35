"""Data contracts: one declaration per feed, from which everything else is projected."""
