"""Projections of an atlas: principal components, neighbours, UMAP, t-SNE, scVI; and clusters."""

from titin.embed.harmony import harmony
from titin.embed.leiden import leiden
from titin.embed.neighbors import Neighbors, neighbors
from titin.embed.pca import PCAResult, pca
from titin.embed.scvi import ScviResult, scvi
from titin.embed.tsne import tsne
from titin.embed.umap import umap

__all__ = ["Neighbors", "PCAResult", "ScviResult", "harmony", "leiden", "neighbors", "pca", "scvi", "tsne", "umap"]
