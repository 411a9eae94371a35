"""Supplier-side encoding: a delivery without names, numbers, dates of birth or postcodes.

A local authority turns its own return into tables that are pseudonymised already and person
records that are encoded already, under keys the centre gave it for this feed; the centre verifies
them and links them as if the names had come. See ``docs/supplier_side_encoding.md``.

On the supplier's side :func:`linked_cyp.supplier.encode.encode`, at the centre
:mod:`linked_cyp.ingest.encoded.received` and :mod:`linked_cyp.linkage.records.encoded`.
"""
