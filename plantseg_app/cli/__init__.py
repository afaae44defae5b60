"""The command line: `plantseg-app COMMAND ...`; its names, options and JSON keys are a promise to users.

Importing it is cheap: each command imports what it needs when it runs.
"""
