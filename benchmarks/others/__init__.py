"""What people would use instead of serotone: how each answers a clip, learns from clips, and what it needs on disk."""
