"""Writes ``docs/card.schema.json``, the JSON schema of ``card.yaml``: ``python docs/make_card_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from plantseg_app.zoo.card import ModelCard

SCHEMA = Path(__file__).resolve().with_name("card.schema.json")


def schema_text() -> str:
    """Return the schema as text."""
    return json.dumps(ModelCard.json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
