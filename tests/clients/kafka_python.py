"""One round with kafka-python: 100 records to a topic that is created by that, read back by an assigned consumer. The
producer is what it is by default: idempotent, with acks=all.

    kafka_python.py <bootstrap servers>
"""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

TOPIC = "from-python"
servers = sys.argv[1].split(",")

producer = KafkaProducer(bootstrap_servers=servers, enable_idempotence=True, acks="all")
values = [b"value %d" % n for n in range(100)]
sends = [producer.send(TOPIC, key=b"key %d" % n, value=value) for n, value in enumerate(values)]
producer.flush(timeout=30)
offsets = [send.get(timeout=30).offset for send in sends]
assert offsets == list(range(100)), offsets
producer.close()

consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None, consumer_timeout_ms=20_000)
partition = TopicPartition(TOPIC, 0)
consumer.assign([partition])
assert consumer.beginning_offsets([partition]) == {partition: 0}
assert consumer.end_offsets([partition]) == {partition: 100}
read = []
for record in consumer:
    read.append((record.offset, record.value))
    if len(read) == 100:
        break
assert read == list(enumerate(values)), read
consumer.close()
print("100 records written and read")
