"""The kinds of files that can be imported."""

from __future__ import annotations

from typing import Final

from copyfold.ddg.importers.databases import read_fireprotdb, read_prothermdb, read_thermomutdb
from copyfold.ddg.importers.published import read_any, read_s669, read_s2648, read_ssym, read_varibench
from copyfold.ddg.importers.reading import Source
from copyfold.ddg.importers.screens import read_mavedb, read_megascale, read_proteingym

_TURNED = "positive = stabilising in the file; turned around"
_KEPT = "positive = destabilising in the file; kept"
_FITNESS = "higher = fitter; kept as `score`, which is no ΔΔG"

SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            "s669",
            "S669, 669 mutations of 94 proteins: a test set",
            "ddg",
            _TURNED,
            "Pancotti et al. 2022, Brief. Bioinform. 23:bbab555",
            "names from code that reads the file; sign checked against values published with the other sign",
            read_s669,
        ),
        Source(
            "s2648",
            "S2648, 2,648 mutations of 131 proteins",
            "ddg",
            _KEPT,
            "Dehouck et al. 2009, Bioinformatics 25:2537; file of PremPS (Chen et al. 2020, PLoS Comput. Biol. 16)",
            "names and sign from the file",
            read_s2648,
        ),
        Source(
            "ssym",
            "Ssym, 342 mutations with structures of both sides",
            "ddg",
            _KEPT,
            "Pucci et al. 2018, Bioinformatics 34:3659; file of ProDDG",
            "names and sign from the file",
            read_ssym,
        ),
        Source(
            "varibench",
            "VariBench's stability sets, taken from ProTherm",
            "ddg",
            _TURNED,
            "Sasidharan Nair and Vihinen 2013, Hum. Mutat. 34:42",
            "NOT verified here: common names; the sign is ProTherm's",
            read_varibench,
        ),
        Source(
            "prothermdb",
            "ProThermDB's TSV export",
            "ddg",
            _TURNED,
            "Nikam et al. 2021, Nucleic Acids Res. 49:D420",
            "names and sign from code and notes that use the export of 2021",
            read_prothermdb,
        ),
        Source(
            "fireprotdb",
            "FireProtDB's CSV export",
            "ddg",
            _KEPT,
            "Stourac et al. 2021, Nucleic Acids Res. 49:D319",
            "names from a test that holds the export's header; sign from the curated subset in use",
            read_fireprotdb,
        ),
        Source(
            "thermomutdb",
            "ThermoMutDB, JSON or CSV",
            "ddg",
            _TURNED,
            "Xavier et al. 2021, Nucleic Acids Res. 49:D475",
            "names from code that reads the file; the sign is checked against its own `effect` at every import",
            read_thermomutdb,
        ),
        Source(
            "megascale",
            "mega-scale stability of domains (Processed_K50_dG_datasets)",
            "ddg",
            _TURNED,
            "Tsuboyama et al. 2023, Nature 620:434",
            "names from code that reads the file",
            read_megascale,
        ),
        Source(
            "proteingym",
            "ProteinGym's substitution assays: reference file and folder",
            "score",
            _FITNESS,
            "Notin et al. 2023, NeurIPS 36",
            "names and sign from the reference file and its description",
            read_proteingym,
        ),
        Source(
            "mavedb",
            "a MaveDB score set (scores.csv with hgvs_pro)",
            "score",
            "differs by score set, see its page; kept as `score`, which is no ΔΔG",
            "Esposito et al. 2019, Genome Biol. 20:223",
            "names from code that reads the files",
            read_mavedb,
        ),
        Source(
            "table",
            "any table with a protein, a mutation and a ΔΔG",
            "ddg",
            "as --positive or the file's own `# ddg:` line says",
            "",
            "",
            read_any,
        ),
    )
}
