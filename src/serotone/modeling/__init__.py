"""What a system is, in torch; knows no files and no recipes."""
