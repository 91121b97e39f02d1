"""Pretraining: corpus, trainer of the backbone, trainer of the alignment modules, model cards."""
