select
    prescription.person_id,
    prescription.prescription_number,
    code.codelist,
    code.codelist_version
from {{ ref('prescription') }} as prescription
inner join {{ ref('gp_codelist_code') }} as code
    on code.code_system = 'bnf' and starts_with(prescription.bnf_code, code.code)
