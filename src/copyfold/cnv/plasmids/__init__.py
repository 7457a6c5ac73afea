"""Copies of plasmid genes by a count model, without reads of other genes; docs/methods/plasmids.md."""

from copyfold.cnv.plasmids.calls import PlasmidCalls, call_family
from copyfold.cnv.plasmids.families import FamilyModel, Source, fit_family
from copyfold.cnv.plasmids.levels import GeneLevels, gene_levels

__all__ = ["FamilyModel", "GeneLevels", "PlasmidCalls", "Source", "call_family", "fit_family", "gene_levels"]
