"""Which services exist and who answers for them: from Services, EndpointSlices, ServiceEntries and pods."""
