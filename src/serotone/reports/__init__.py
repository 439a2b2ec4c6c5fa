"""Predictions on disk -> tables, figures and one HTML file; models are unknown here."""
