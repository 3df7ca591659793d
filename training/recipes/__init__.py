"""Recipes that were run, each with its command, hardware, hours and result."""
