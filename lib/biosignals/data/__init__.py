"""Data sets: official files in, `Recordings` out."""
