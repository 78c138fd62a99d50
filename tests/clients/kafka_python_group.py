"""A group with kafka-python: two consumers share a topic, one goes, the other has all; what they commit is found by who
comes after, and by the admin client.

    kafka_python_group.py <bootstrap servers>
"""

import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

TOPIC = "shared-by-python"
GROUP = "python"
servers = sys.argv[1].split(",")
partitions = [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]

admin = KafkaAdminClient(bootstrap_servers=servers)
admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=3)])
producer = KafkaProducer(bootstrap_servers=servers, acks="all")


def produce(first, end):
    sends = [producer.send(TOPIC, value=b"%d" % n, partition=n % 2) for n in range(first, end)]
    producer.flush(timeout=30)
    for send in sends:
        send.get(timeout=30)


def member():
    return KafkaConsumer(
        TOPIC,
        bootstrap_servers=servers,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )


def poll(consumers, until, what, read=None):
    deadline = time.monotonic() + 40
    while not until():
        assert time.monotonic() < deadline, f"{what}: {[c.assignment() for c in consumers]}"
        for consumer in consumers:
            for records in consumer.poll(timeout_ms=100).values():
                if read is not None:
                    read.extend(int(record.value) for record in records)


produce(0, 40)
first, second = member(), member()
both = [first, second]
read = []
poll(both, lambda: all(len(c.assignment()) == 1 for c in both), "each has one partition", read)
assert first.assignment() | second.assignment() == set(partitions)
poll(both, lambda: set(read) == set(range(40)), "all is read", read)
first.commit()
second.commit()
described = admin.describe_consumer_groups([GROUP])
assert "Stable" in str(described) and str(described).count("member_id") >= 2, described

second.close()
poll([first], lambda: first.assignment() == set(partitions), "the other has both")
assert {p: first.committed(p) for p in partitions} == {p: 20 for p in partitions}
read = []
produce(40, 50)
poll([first], lambda: set(read) == set(range(40, 50)), "the new ones, and no others", read)
first.commit()
first.close()

third = member()
produce(50, 52)
read = []
poll([third], lambda: set(read) >= {50, 51}, "who comes after goes on where the group was", read)
assert set(read) == {50, 51}, read
third.close()

offsets = admin.list_consumer_group_offsets(GROUP)
assert "25" in str(offsets), offsets
listed = admin.list_consumer_groups()
assert GROUP in str(listed), listed
deleted = admin.delete_consumer_groups([GROUP])
assert GROUP not in str(admin.list_consumer_groups()), deleted
producer.close()
admin.close()
print("a group of two, of one, of another, and of none")
