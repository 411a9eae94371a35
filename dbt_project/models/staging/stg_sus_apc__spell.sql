-- One row per spell that counts: its newest submission, unless the log says that it was deleted.
select * from {{ sus_records('sus_apc', 'spell', 'spell_id') }}
