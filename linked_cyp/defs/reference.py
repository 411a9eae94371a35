"""Reference data that the operator supplies, as assets (the rest are seeds of the dbt project)."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.defs import checks, metadata
from linked_cyp.defs.deliveries import LEDGER
from linked_cyp.expectations import Rule, run_rules
from linked_cyp.expectations.rules import not_null, unique, zero_rows
from linked_cyp.pseudonymise import reference
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

OWNER = metadata.owner("Research data")
POSTCODE = ["reference", "postcode"]
ESTABLISHMENT = ["reference", "establishment"]
ESTABLISHMENT_RULES: list[Rule] = [
    not_null("school_id"),
    unique(("feed", "supplier", "school_id")),
]


def postcode_rules(settings: Settings) -> list[Rule]:
    """Postcodes are told apart, and each vintage of small areas is the one its index knows."""
    return [
        unique(("postcode",), filled=True),
        zero_rows("rows__there", "SELECT 1 WHERE NOT EXISTS (FROM {batch})", "It has rows."),
        *(
            zero_rows(
                f"{column}__vintage",
                f"""SELECT 1 FROM {{batch}} WHERE {column} LIKE 'E01%' HAVING count(*) FILTER (
                        {column} NOT IN (SELECT {column} FROM read_csv('{seed}'))
                    ) > count(*) / 100""",
                f"All but a hundredth of English small areas in {column} are areas of {index}: the "
                "vintages are not swapped.",
            )
            for column, index in (("lsoa11_code", "imd_2019"), ("lsoa21_code", "imd_2025"))
            for seed in [str(settings.dbt_project / "seeds" / f"{index}.csv").replace("'", "''")]
        ),
    ]


@dg.definitions
def reference_data() -> dg.Definitions:
    return dg.Definitions(assets=[postcode(), establishment()])


def spec(key: list[str], contract: str, description: str, **more: Any) -> dg.AssetSpec:
    declared = reference.reference_contracts()[contract]
    shown: Mapping[str, Any] = {
        "supplied as": reference.reference_table(contract).physical_name,
        "licence": declared.legal_basis,
        "contract": f"data_contracts/reference/{contract}.odcs.yaml {declared.version}",
    }
    return dg.AssetSpec(
        key,
        description=f"{declared.description}\n\n{description}",
        group_name="reference",
        owners=[OWNER],
        metadata=shown,
        **more,
    )


def postcode() -> dg.AssetsDefinition:
    rules = postcode_rules(Settings.from_environment())

    @dg.multi_asset(
        name="reference_postcode",
        specs=[
            spec(
                POSTCODE,
                reference.POSTCODE,
                "Kept beside the stores as a file that is quick to read; it is in no table.",
                kinds={"polars", "parquet"},
            )
        ],
        check_specs=checks.specs(POSTCODE, rules),
        pool="warehouse",
    )
    @door("preparing the postcode directory")
    def prepared(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        directory = reference.postcode_directory(stores.settings)
        areas = {
            f"postcodes without {code}": directory[code].null_count() for code in reference.AREAS
        }
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(POSTCODE),
            metadata={"dagster/row_count": directory.height, **areas},
        )
        with stores.connect(warehouse="rw") as connection:
            connection.register("postcode_directory", directory.to_arrow())
            outcomes = run_rules(connection, "postcode_directory", rules)
            provenance.record_checks(
                connection, "warehouse", {tuple(POSTCODE): outcomes}, run_id=context.run.run_id
            )
        yield from checks.results(POSTCODE, outcomes)

    return prepared


def establishment() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="reference_establishment",
        specs=[
            spec(
                ESTABLISHMENT,
                reference.ESTABLISHMENT,
                "Empty until the operator has supplied the list.",
                deps=[LEDGER],
                kinds={"duckdb"},
            )
        ],
        check_specs=checks.specs(ESTABLISHMENT, ESTABLISHMENT_RULES),
        pool="warehouse",
    )
    @door("writing the establishments")
    def published(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        file = reference.establishments_file(stores.settings)
        listed = reference.load_establishments(file)
        contracts = load_contracts(stores.settings.contracts).values()
        relation = reference.ESTABLISHMENT_TABLE
        with stores.connect(warehouse="rw") as connection:
            reference.publish_establishments(connection, contracts, stores.keys(), listed)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(ESTABLISHMENT),
                metadata={
                    "establishments in the list": listed.height,
                    **metadata.stored(connection, relation),
                },
            )
            yield from checks.checked(
                connection, ESTABLISHMENT, relation, ESTABLISHMENT_RULES, context
            )

    return published
