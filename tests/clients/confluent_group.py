"""A group with confluent-kafka (librdkafka): two consumers share a topic, one goes, the other has all; what they commit
is found by who comes after. In either protocol: with "consumer" the brokers assign (KIP-848).

    confluent_group.py <bootstrap servers> classic|consumer
"""

import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

servers, protocol = sys.argv[1], sys.argv[2]
topic = f"shared-{protocol}"
admin = AdminClient({"bootstrap.servers": servers})
admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=3)])[topic].result(30)
producer = Producer({"bootstrap.servers": servers})


def produce(first, end):
    for n in range(first, end):
        producer.produce(topic, value=b"%d" % n, partition=n % 2)
    assert producer.flush(30) == 0


def member(group=f"group-{protocol}"):
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    return consumer


def assigned(consumer):
    return {partition.partition for partition in consumer.assignment()}


def poll(consumers, until, what, read=None):
    deadline = time.monotonic() + 40
    while not until():
        assert time.monotonic() < deadline, f"{what}: {[assigned(c) for c in consumers]} {read}"
        for consumer in consumers:
            message = consumer.poll(0.05)
            if message is not None and message.error() is None and read is not None:
                read.append(int(message.value()))


first, second = member(), member()
both = [first, second]
poll(both, lambda: all(len(assigned(c)) == 1 for c in both), "each has one partition")
assert assigned(first) | assigned(second) == {0, 1}
read = []
produce(0, 40)
poll(both, lambda: sorted(read) == list(range(40)), "each record is read once", read)
first.commit(asynchronous=False)
second.commit(asynchronous=False)
group = admin.describe_consumer_groups([f"group-{protocol}"])[f"group-{protocol}"].result(30)
assert group.state.name == "STABLE" and len(group.members) == 2, (group.state, group.members)

second.close()
poll([first], lambda: assigned(first) == {0, 1}, "the other has both")
committed = first.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], 30)
assert [partition.offset for partition in committed] == [20, 20], committed
read = []
produce(40, 50)
poll([first], lambda: set(read) == set(range(40, 50)), "the new ones, and no others", read)
first.commit(asynchronous=False)
first.close()

third = member()
produce(50, 52)
read = []
poll([third], lambda: set(read) >= {50, 51}, "who comes after goes on where the group was", read)
assert set(read) == {50, 51}, read
third.close()
admin.delete_consumer_groups([f"group-{protocol}"])[f"group-{protocol}"].result(30)
print("a group of two, of one, of another, and of none")
