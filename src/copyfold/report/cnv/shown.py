"""Which isolates of a large cohort a report lists and draws one by one, so that the page can still be opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from copyfold.core.seeding import DEFAULT_SEED, derive_generator
from copyfold.report.cnv.results import CnvResults
from copyfold.report.cnv.rules import is_borderline

MOST_ISOLATES = 5_000
MOST_CELLS = 900_000
"""Of the table of calls: 5 to 7 bytes each in the page, which is to stay below 8 MB."""
_OWN_COLUMNS = 5


class Shown(NamedTuple):
    """Isolates that are listed in the table of calls and drawn as dots.

    Attributes
    ----------
    rows : numpy.ndarray, (n_shown,), int64
        Ascending.
    details : bool
        Whether what callers say besides copy number and ratio is listed too.
    said : str
        What is left out, where all is to be found, and how isolates were chosen; empty where nothing is left out.
    """

    rows: np.ndarray
    details: bool
    said: str

    def mask(self, n_samples: int) -> np.ndarray:
        """Whether each isolate is shown, (n_samples,), bool."""
        mask = np.zeros(n_samples, dtype=bool)
        mask[self.rows] = True
        return mask


def choose_shown(results: CnvResults, always: Sequence[int] = ()) -> Shown:
    """All isolates of a cohort up to `MOST_ISOLATES`; of a larger one notable ones and a random sample of the others.

    Where both are more than fit, each kind gets half, drawn at random by the run's seed.

    Parameters
    ----------
    results : CnvResults
    always : sequence of int
        Rows that are notable for another reason.
    """
    n_samples, n_columns = results.n_samples, _OWN_COLUMNS + 2 * len(results.genes)
    most = min(n_samples, MOST_ISOLATES)
    details = most * (n_columns + sum(len(gene.details) for gene in results.genes)) <= MOST_CELLS
    if not details:
        most = min(most, MOST_CELLS // n_columns)
    said = "" if details else "What callers say besides copy number and ratio is left out here for its amount. "
    rows = np.arange(n_samples)
    if most < n_samples:
        seed = int(results.config.get("seed", DEFAULT_SEED))
        notable = is_notable(results)
        notable[list(always)] = True
        drawn = derive_generator(seed, "isolates of the report").permutation(n_samples)
        first = np.isin(drawn, list(always))
        drawn = np.concatenate([drawn[first], drawn[~first]])
        of_notable, of_others = drawn[notable[drawn]], drawn[~notable[drawn]]
        taken = of_notable[: max(most // 2, most - len(of_others))]
        others = of_others[: most - len(taken)]
        rows = np.sort(np.concatenate([taken, others]))
        said += (
            f"{most:,} of {n_samples:,} isolates are listed here, and drawn as dots below: {len(taken):,} of the "
            f"{len(of_notable):,} notable ones (a chromosomal gene amplified, absent, mixed, unsure or without a call) "
            f"and {len(others):,} of the {len(of_others):,} others, drawn at random with seed {seed}. Numbers, shares, "
            "medians and the curves along the genome are of all isolates. "
        )
    if said:
        said += f"Every call of every isolate: {results.name}/gene_calls.tsv, {results.name}/plasmid_gene_calls.tsv."
    return Shown(rows, details, said)


def is_notable(results: CnvResults) -> np.ndarray:
    """Isolates with other than a sure call of one copy in some chromosomal gene, (n_samples,), bool."""
    notable = np.zeros(results.n_samples, dtype=bool)
    for gene in results.chromosomal:
        notable |= (gene.cn != 1) | is_borderline(gene)
        notable |= gene.details.get("mixed", np.zeros(results.n_samples)) == 1
    return notable
