-- One row per appointment record that counts: its newest submission, unless deleted.
select * from {{ sus_records('sus_op', 'appointment', 'appointment_id') }}
