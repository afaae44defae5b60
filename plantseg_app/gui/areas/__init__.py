"""The areas of the window beside the wizard: many files, training, models. Each is a widget of its own."""
