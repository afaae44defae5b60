"""Generated tissue with known cells, and images of it as a microscope would take them. Knows no file and no step."""
