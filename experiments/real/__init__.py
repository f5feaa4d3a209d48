"""The whole recipe on real photographs with a real pretrained language model: stages, measures, and their page."""
