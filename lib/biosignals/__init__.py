"""Deep learning on biosignals: the verbs that the book's chapters use."""
