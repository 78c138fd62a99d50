"""A group with kafka-python: two consumers share a topic, one goes, the other has all; what they commit is found by who
comes after, and by the admin client. Each consumer has a thread: one that is polled for too short a time at once forgets
that it has joined.

    kafka_python_group.py <bootstrap servers>
"""

import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

TOPIC = "shared-by-python"
GROUP = "python"
servers = sys.argv[1].split(",")
partitions = {TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)}


class Member(threading.Thread):
    """Reads, and commits what it has read, until it is told to go."""

    def __init__(self):
        super().__init__(daemon=True)
        self.assigned, self.read, self.goes = set(), [], False
        self.start()

    def run(self):
        consumer = KafkaConsumer(
            TOPIC,
            bootstrap_servers=servers,
            group_id=GROUP,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        while not self.goes:
            polled = consumer.poll(timeout_ms=1_000)
            self.assigned = set(consumer.assignment())
            if polled:
                consumer.commit()
                self.read.extend(int(record.value) for records in polled.values() for record in records)
        consumer.close()

    def leave(self):
        self.goes = True
        self.join(30)
        assert not self.is_alive()


def wait(until, what):
    deadline = time.monotonic() + 40
    while not until():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


admin = KafkaAdminClient(bootstrap_servers=servers)
admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=3)])
producer = KafkaProducer(bootstrap_servers=servers, acks="all")


def produce(first, end):
    sends = [producer.send(TOPIC, value=b"%d" % n, partition=n % 2) for n in range(first, end)]
    producer.flush(timeout=30)
    for send in sends:
        send.get(timeout=30)


first, second = Member(), Member()
wait(lambda: len(first.assigned) == 1 and first.assigned | second.assigned == partitions, "each has one partition")
produce(0, 40)
wait(lambda: sorted(first.read + second.read) == list(range(40)), "each record is read once")
assert len(first.read) == 20
described = admin.describe_groups([GROUP])[GROUP]
assert described["group_state"] == "Stable" and len(described["members"]) == 2, described
assert {member["client_host"] for member in described["members"]} == {"/127.0.0.1"}, described

second.leave()
wait(lambda: first.assigned == partitions, "the other has both")
produce(40, 50)
wait(lambda: set(first.read) >= set(range(40, 50)), "the new ones are read")
assert len(first.read) == 30, "and no others"
first.leave()

third = Member()
produce(50, 52)
wait(lambda: set(third.read) >= {50, 51}, "who comes after goes on where the group was")
assert sorted(third.read) == [50, 51]
third.leave()

offsets = admin.list_group_offsets(GROUP)[GROUP]
assert {partition: offset.offset for partition, offset in offsets.items()} == dict.fromkeys(partitions, 26), offsets
assert GROUP in str(admin.list_groups())
deleted = admin.delete_groups([GROUP])
assert GROUP not in str(admin.list_groups()), deleted
producer.close()
admin.close()
print("a group of two, of one, of another, and of none")
