select
    event.person_id,
    event.event_number,
    code.codelist,
    code.codelist_version
from {{ ref('gp_event') }} as event
inner join {{ ref('gp_codelist_code') }} as code
    on code.code_system = 'snomed' and code.code = event.snomed_code
