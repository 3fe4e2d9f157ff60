"""How a proxy knows its peers and what it lets them do: TLS contexts, RBAC and JWT filters."""
