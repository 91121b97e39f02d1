"""Pretraining of the compact backbone: corpus, decontamination, trainer and model card."""
