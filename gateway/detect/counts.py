"""What became of the readings."""

import msgspec


class Counts(msgspec.Struct):
    """What became of the readings, since the start.

    Attributes:
        judged: seen by the rules.
        not_numeric: booleans, texts and what is no finite number.
        retained: values of some earlier time, kept by the MQTT broker.
        recovered: of some earlier time, made later of dead letters.
        repeated: sent again with the same time, or numbered no higher than one before.
        late: older than one of the same sensor that was judged before.
        replayed: read again, and already in the state that was restored.
        unnamed: whose device or sensor name no gateway would send.
        raised, updated, cleared: events of anomalies.
        forgotten: sensors that had to make room for others.
        unit_changed: sensors that were learnt anew because their unit became another one.
    """

    judged: int = 0
    not_numeric: int = 0
    retained: int = 0
    recovered: int = 0
    repeated: int = 0
    late: int = 0
    replayed: int = 0
    unnamed: int = 0
    raised: int = 0
    updated: int = 0
    cleared: int = 0
    forgotten: int = 0
    unit_changed: int = 0
