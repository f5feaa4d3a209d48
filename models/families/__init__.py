"""Families of vision-language models: what each type of model does in its own way."""

from models.families.family import Family, Tower, Vision
from models.families.registry import FAMILIES, family_of, family_of_config

__all__ = ["FAMILIES", "Family", "Tower", "Vision", "family_of", "family_of_config"]
