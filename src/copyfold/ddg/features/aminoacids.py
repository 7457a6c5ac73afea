"""Properties of the twenty amino acids, each with the publication (and AAindex entry) its numbers come from.

Every vector has shape (20,), float32, in the order of `copyfold.ddg.sequences.AMINO_ACIDS`. AAindex is Kawashima et al.
2008, Nucleic Acids Res. 36:D202.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from copyfold.ddg.sequences import AMINO_ACIDS


class Property(NamedTuple):
    """One number per amino acid.

    Attributes
    ----------
    name : str
    unit : str
    source : str
        Publication, and AAindex entry where there is one.
    values : numpy.ndarray, (20,), float32
        In the order of `AMINO_ACIDS`.
    """

    name: str
    unit: str
    source: str
    values: np.ndarray


def _vector(by_letter: str) -> np.ndarray:
    """Read ``A 1.8 C 2.5 …`` into the order of `AMINO_ACIDS`; read-only."""
    parts = by_letter.split()
    table = dict(zip(parts[::2], map(float, parts[1::2]), strict=True))
    values = np.array([table[letter] for letter in AMINO_ACIDS], dtype=np.float32)
    values.flags.writeable = False
    return values


HYDROPATHY = Property(
    "hydropathy",
    "1 (hydropathy index)",
    "Kyte & Doolittle 1982, J. Mol. Biol. 157:105; AAindex KYTJ820101",
    _vector(
        "A 1.8 R -4.5 N -3.5 D -3.5 C 2.5 Q -3.5 E -3.5 G -0.4 H -3.2 I 4.5 "
        "L 3.8 K -3.9 M 1.9 F 2.8 P -1.6 S -0.8 T -0.7 W -0.9 Y -1.3 V 4.2"
    ),
)
CHARGE = Property(
    "charge",
    "elementary charge",
    "Klein, Kanehisa & DeLisi 1984, Biochim. Biophys. Acta 787:221; AAindex KLEP840101 (histidine is neutral)",
    _vector("A 0 R 1 N 0 D -1 C 0 Q 0 E -1 G 0 H 0 I 0 L 0 K 1 M 0 F 0 P 0 S 0 T 0 W 0 Y 0 V 0"),
)
VOLUME = Property(
    "volume",
    "Å³",
    "Zamyatnin 1972, Prog. Biophys. Mol. Biol. 24:107",
    _vector(
        "A 88.6 R 173.4 N 114.1 D 111.1 C 108.5 Q 143.8 E 138.4 G 60.1 H 153.2 I 166.7 "
        "L 166.7 K 168.6 M 162.9 F 189.9 P 112.7 S 89.0 T 116.1 W 227.8 Y 193.6 V 140.0"
    ),
)
FLEXIBILITY = Property(
    "flexibility",
    "1 (normalised B factor)",
    "Bhaskaran & Ponnuswamy 1988, Int. J. Pept. Protein Res. 32:241; AAindex BHAR880101",
    _vector(
        "A 0.357 R 0.529 N 0.463 D 0.511 C 0.346 Q 0.493 E 0.497 G 0.544 H 0.323 I 0.462 "
        "L 0.365 K 0.466 M 0.295 F 0.314 P 0.509 S 0.507 T 0.444 W 0.305 Y 0.420 V 0.386"
    ),
)
MASS = Property(
    "mass",
    "Da (free amino acid)",
    "Fasman 1976, Handbook of Biochemistry and Molecular Biology, 3rd ed.; AAindex FASG760101",
    _vector(
        "A 89.09 R 174.20 N 132.12 D 133.10 C 121.15 Q 146.15 E 147.13 G 75.07 H 155.16 I 131.17 "
        "L 131.17 K 146.19 M 149.21 F 165.19 P 115.13 S 105.09 T 119.12 W 204.24 Y 181.19 V 117.15"
    ),
)
PROPERTIES = (HYDROPATHY, CHARGE, VOLUME, FLEXIBILITY, MASS)
"""The properties whose changes open `base14`, in that order."""


def _members(letters: str) -> np.ndarray:
    flags = np.array([letter in letters for letter in AMINO_ACIDS])
    flags.flags.writeable = False
    return flags


CHARGED = _members("DEKR")
"""Those with a charge in `CHARGE`."""
AROMATIC = _members("FWY")
HYDROPHOBIC = _members("ACFILMVW")
"""The hydrophobic class of IMGT (Pommié et al. 2004, J. Mol. Recognit. 17:17): Kyte–Doolittle above 0, and
tryptophan."""
