"""What the latent of a trained specialist holds: directions, paths, clusters, neighbours, and whether it lasts."""
