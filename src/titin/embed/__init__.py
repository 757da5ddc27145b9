"""Projections of an atlas: principal components, neighbours."""

from titin.embed.neighbors import Neighbors, neighbors
from titin.embed.pca import PCAResult, pca

__all__ = ["Neighbors", "PCAResult", "neighbors", "pca"]
