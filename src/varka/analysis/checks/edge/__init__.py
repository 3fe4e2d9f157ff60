"""Checks of what lies at the edge of the mesh: gateways, their ports and their credentials."""
