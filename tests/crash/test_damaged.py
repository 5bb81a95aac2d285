"""A record that its disk gives back otherwise than it was written: told, never skipped."""

import pytest

from support.events import scale, seconds
from support.platform import PARTITIONS, wait_for

TOPIC = "busline.scale"
MARK = "a-mark-nobody-else-makes"


def flip(broker, mark):
    """One bit of the first place in the store that holds the mark; the broker is down."""
    path = broker.directory / "broker.db"
    content = bytearray(path.read_bytes())
    at = content.index(mark.encode())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("own_broker", ["embedded"], indirect=True)
def test_damaged_record_holds_its_partition(own_broker, postgres, make_platform):
    platform = make_platform(own_broker, postgres)
    publisher = own_broker.publisher()

    def publish(first, count):
        publisher.publish([scale("acme", f"app-{number % 60}", "web", at=seconds(number), delta=1)
                           for number in range(first, first + count)])
        publisher.flush()

    publish(0, 300)
    begin = own_broker.ends(TOPIC)
    publisher.publish([scale("acme", "app-1", MARK, at=seconds(300), delta=1)])
    publisher.flush()
    place = next((p, end - 1) for p, end in own_broker.ends(TOPIC).items() if end > begin[p])
    publish(301, 300)
    assert own_broker.stop() == 0
    flip(own_broker, MARK)
    own_broker.run()

    worker = platform.start("scale")
    incident = wait_for(
        lambda: platform.rows('select kind, partition, "offset", detail from busline.incident'),
        lambda: "an incident opens\n" + worker.tail(), 60)
    assert [row[:3] for row in incident] == [("damaged", *place)]
    assert "busline broker check" in incident[0][3] and "cannot be read" in incident[0][3]
    ends = own_broker.ends(TOPIC)
    wait_for(lambda: all(platform.positions(TOPIC)[p] == ends[p]
                         for p in range(PARTITIONS) if p != place[0]),
             lambda: "the other partitions flow\n" + worker.tail(), 60)
    assert platform.positions(TOPIC)[place[0]] == place[1], "all before it, nothing behind it"
    assert worker.running()

    # Whoever looks at the log is told, too, and sees the rest.
    tail = platform.busline("tail", TOPIC, "-o", "start", check=False)
    assert f"{TOPIC}-{place[0]}@{place[1]}: is damaged and cannot be read" in tail.stderr
    assert tail.stdout.count("\n") > sum(ends.values()) - ends[place[0]]

    # Its event is given up, by name: the worker goes on behind it.
    platform.execute(f"select busline.position_move('{TOPIC}', {place[0]}, {place[1] + 1}, "
                     "'operator', 'damaged on disk')")
    wait_for(lambda: platform.positions(TOPIC) == ends,
             lambda: "the partition goes on\n" + worker.tail(), 60)
    assert platform.value("select sum(desired) from paas.scale") == 600
    assert platform.value("select count(*) from busline.incident where closed_at is null") == 0
    assert worker.stop() == 0
