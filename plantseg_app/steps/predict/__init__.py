"""The step that runs a trained network over an image."""
