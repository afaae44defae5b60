"""The layering method: objects that touch or overlap come out in different layers."""
