"""Writes everything that comes from stored runs: figures, docs/results.md, README's table, the results browser."""

from collections.abc import Mapping
from pathlib import Path

from experiments.claims import all_claims
from experiments.claims.arms import PLAIN, SSB
from experiments.reproduce.browser import write_browser
from experiments.reproduce.figures import draw_accuracy, draw_claim
from experiments.reproduce.page import results_page
from experiments.reproduce.readme import PICTURE, README, with_numbers
from experiments.reproduce.scales import SCALES, Scale
from experiments.reproduce.stored import stored_runs
from storage import whole_file


def texts(scale: Scale) -> Mapping[Path, str]:
    """Return the texts of the pages by their path; README is included only on the full scale."""
    known = all_claims()
    claims = [known[name] for name in scale.claims or known]
    found = {scale.page: results_page(claims, scale)}
    if scale.page == SCALES["full"].page:
        runs = stored_runs(scale.results, [arm for claim in claims for arm in claim.arms])
        found[README] = with_numbers(README.read_text(), runs)
    return found


def publish(scale: Scale) -> list[Path]:
    """Write everything and return the pages."""
    known = all_claims()
    claims = [known[name] for name in scale.claims or known]
    runs = stored_runs(scale.results, [arm for claim in claims for arm in claim.arms])
    # Figures come first, because pages show only existing figures.
    for claim in claims:
        draw_claim(claim, runs, scale.figures)
    if scale.page == SCALES["full"].page:
        draw_accuracy([PLAIN, SSB], runs, PICTURE)
    pages = texts(scale)
    for path, text in pages.items():
        with whole_file(path) as draft:
            draft.write_text(text)
    return [*pages, write_browser(claims, scale)]
