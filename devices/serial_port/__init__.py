"""The serial source: a port of this machine, or a serial server on the network.

| module   | holds                                                                  |
|----------|------------------------------------------------------------------------|
| settings | which port, and how it speaks                                          |
| ports    | the ports of this machine: what they are, and their stable names       |
| claims   | who else uses a port                                                   |
| tty      | opening a port, and everything that touches its lines                  |
| link     | a descriptor, of a port or of a serial server                          |
| startup  | what is written to the device after every opening                      |
| line     | one connection: from its descriptor to the intake                      |
| source   | the life of a source: connection after connection                      |
"""
