"""The running receiver put together by hand: factory, service, operator endpoints, health."""
