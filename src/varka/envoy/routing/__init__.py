"""Where a proxy sends HTTP requests: route configurations, virtual hosts, matches and actions."""
