"""The production model of stability: ensembles of site autoencoders, their weights, numbering and error model."""
