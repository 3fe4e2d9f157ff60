"""The kinds of `networking.istio.io`: where requests go, and what a proxy may reach."""
