"""Where traffic goes: Gateways, VirtualServices and DestinationRules, and who may see them."""
