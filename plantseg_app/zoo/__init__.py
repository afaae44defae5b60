"""Trained models: what each one is (card), which are installed (catalogue), and their networks (load)."""
