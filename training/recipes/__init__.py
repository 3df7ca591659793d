"""Recipes, each with its command, and with hardware, hours and result where it was run."""
