"""Whom a proxy may talk to: clusters, their endpoints and how load is spread over them."""
