"""Recipe x folds x repetitions -> predictions on disk, resumable."""
