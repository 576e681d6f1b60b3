"""The command gatewayctl: one module per command, loaded when it is used."""
