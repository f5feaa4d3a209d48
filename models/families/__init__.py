"""Families of vision-language models: what each type of model does in its own way."""

from models.families.family import Family, Tower, Vision
from models.families.language_model import TRIED_LANGUAGE_MODELS, check_language_model
from models.families.registry import FAMILIES, auto_class_of, family_of, family_of_config, untried

__all__ = [
    "FAMILIES",
    "TRIED_LANGUAGE_MODELS",
    "Family",
    "Tower",
    "Vision",
    "auto_class_of",
    "check_language_model",
    "family_of",
    "family_of_config",
    "untried",
]
