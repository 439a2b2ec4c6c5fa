"""Recipes, batches, the loop and the export of a trained system."""
