"""Copy number from short-read depth: stores, models, segmentation, gene calls, evaluation, simulation."""
