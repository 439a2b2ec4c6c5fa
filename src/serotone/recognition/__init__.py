"""What users run: a bundle, and the recogniser that answers with it; the core install, no torch."""
