# A first look at a release, as a marimo notebook: marimo edit examples/first_look.py
# ruff: noqa: B018 (the last expression of a cell is what it shows)

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="First look at a release")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md(
        """
        # First look at a release

        What is in it, what is missing, what a variable means and where it came from, one question
        across services, and the project's cohorts. Counts under ten are left out and the others
        rounded to five, as an output checker would ask. The same in words: `docs/research.md`.
        """
    )
    return (mo,)


@app.cell
def _(mo):
    from linked_cyp import research
    from linked_cyp.research import cohort_pages

    # another file: marimo edit examples/first_look.py -- --release releases/mine/current.duckdb
    release = research.open(mo.cli_args().get("release") or "data/releases/demo/current.duckdb")
    release
    return cohort_pages, release, research


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## What is missing

    Read this before any number: how many children of each source were found in another domain
    (education, social care or health), and what is known to be wrong.
    """)
    return


@app.cell
def _(release):
    import altair as alt
    import polars as pl

    reach = release.link_quality().filter(pl.col("breakdown") == "all")
    reach_chart = (
        alt.Chart(reach.drop_nulls())
        .mark_bar()
        .encode(
            x=alt.X("share_in_another_domain:Q")
            .title("share also in another domain")
            .axis(format="%"),
            y=alt.Y("feed:N").title(None).sort("-x"),
            color=alt.Color("domain:N").title(None),
        )
    )
    reach_chart
    return alt, pl, reach, reach_chart


@app.cell
def _(release):
    problems = release.known_problems()
    problems
    return (problems,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## What is in it
    """)
    return


@app.cell
def _(mo, release):
    tables = release.tables()
    table = mo.ui.dropdown(tables["table"].to_list(), value="curated.child", label="Table")
    table
    return table, tables


@app.cell
def _(mo, release, table):
    variables = release.variables(table.value)
    variable = mo.ui.dropdown(
        variables["variable"].to_list(), value=variables["variable"][1], label="Variable"
    )
    mo.vstack([variables, variable])
    return variable, variables


@app.cell
def _(release, table, variable):
    described = release.describe(f"{table.value}.{variable.value}")
    described
    return (described,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## A question

    Are children who were ever in care admitted to hospital as an emergency more often? Try it
    with surely linked children only: an answer that hangs on weak links is one about the linkage.
    """)
    return


@app.cell
def _(mo, release):
    tiers = release.query("SELECT DISTINCT link_tier FROM curated.child ORDER BY 1")["link_tier"]
    chosen = mo.ui.multiselect(tiers.to_list(), value=tiers.to_list(), label="How surely linked")
    chosen
    return (chosen,)


@app.cell
def _(chosen, pl, release, research):
    counts = release.query(
        """
        SELECT
            CASE WHEN care.person_id IS NULL THEN 'never' ELSE 'ever' END AS in_care,
            count(*) AS children,
            count(admitted.person_id) AS admitted
        FROM curated.child
        LEFT JOIN (
            SELECT DISTINCT person_id FROM curated.looked_after_period_of_care
            WHERE NOT is_short_break
        ) AS care USING (person_id)
        LEFT JOIN (
            SELECT DISTINCT person_id FROM curated.hospital_admission
            WHERE is_emergency AND NOT is_birth
        ) AS admitted USING (person_id)
        WHERE list_contains($tiers, child.link_tier)
        GROUP BY ALL ORDER BY ALL
        """,
        {"tiers": chosen.value},
    )
    shown = research.rounded_counts(counts, "children", "admitted").with_columns(
        share=(pl.col("admitted") / pl.col("children")).round(2)
    )
    shown
    return counts, shown


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    ## The project's cohorts

    Each is a table made for a question, with a page in `docs/cohorts` and, in the release, the
    query that made it. Where the release holds all that it reads, it can be made again.
    """)
    return


@app.cell
def _(cohort_pages, mo, release):
    held = set(release.tables()["table"])
    pages = {page.title: page for page in cohort_pages.pages() if f"cohort.{page.name}" in held}
    cohort = mo.ui.dropdown(pages, value=list(pages)[-1], label="Cohort")
    cohort
    return cohort, pages


@app.cell
def _(cohort, cohort_pages, mo, release):
    page = cohort.value
    picture = cohort_pages.draw(release, page)
    mo.vstack([mo.md(f"**{page.title}.** {page.asks}"), mo.Html(str(picture))])
    return page, picture


@app.cell
def _(cohort, mo, release):
    mo.accordion(
        {"The query that made it": mo.md(f"```sql\n{release.definition(cohort.value.name)}\n```")}
    )
    return


@app.cell(hide_code=True)
def _(mo, release):
    mo.md(f"""
    ## Say which data it was

    {release.cite()}
    """)
    return


if __name__ == "__main__":
    app.run()
