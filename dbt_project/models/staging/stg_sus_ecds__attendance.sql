-- One row per attendance record that counts: its newest submission, unless deleted.
select * from {{ sus_records('sus_ecds', 'attendance', 'attendance_id') }}
