"""The MQTT source: QoS 1, a session that the broker keeps, and no acknowledgement before the data is safe.

| module        | holds                                                              |
|---------------|--------------------------------------------------------------------|
| settings      | what a person may set                                              |
| topics        | patterns such as `plant/{device}/{sensor}`, and which topic fits   |
| subscriptions | what is subscribed to, and what makes readings of a message        |
| dial          | connecting in a thread, with password and TLS                      |
| client        | paho's client with fewer system calls                              |
| pump          | paho driven from the asyncio loop                                  |
| backlog       | messages for which there is no room yet                            |
| link          | one connection: how it comes up, what is said over it, how it ends |
| session       | the subscriptions that the broker remembers, on disk               |
| own_status    | what the gateway says of itself: last will and retained status     |
| refusals      | what a broker's no, or a failed connect, means and what to do      |
| source        | the life of a source: link after link, receipts, what is rejected  |
"""
