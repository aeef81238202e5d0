"""A subscriber that submits new events while it handles one, docs/examples/reactor.py, neither
deadlocks nor reorders: every order gets exactly one reaction, in the order of the orders, also when
the reactor is killed and started again, and also when its reactions are refused.

WEIR_EVENTS: events of the traffic that it reacts to (default 20,000).
"""

import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import weir  # noqa: E402

REACTOR = weir.ROOT / "docs/examples/reactor.py"
SOURCE = "reactor"
ENDED_BY_US = {-signal.SIGTERM, -signal.SIGKILL}


def is_order(record):
    return record.event[1] == "order.created"


class Reactor(unittest.TestCase):
    def start_reactor(self, station, *count):
        reactor = weir.Program(
            ["/usr/bin/python3", "-u", REACTOR, station.run_dir, SOURCE, *count],
            station.folder, f"{len(station.programs)}-reactor",
        )
        reactor.expected_exits = ENDED_BY_US
        station.programs.append(reactor)
        return reactor

    def generate(self, station, rate=0):
        return station.start_producer(
            "generate", "--rate", rate, "--count", weir.count("WEIR_EVENTS", 20_000),
            "--sources", 2, "--subjects", 500, "--seed", 7,
        )

    def await_reactions(self, station, feed, number):
        """Until `number` more reactions were published."""
        while number > 0:
            message = feed.messages("accepted", len)[0]
            number -= sum(record[2] == SOURCE for record in weir.unpack_all(message[2]))

    def await_last(self, station):
        """Until the log holds a reaction to each order."""
        control = station.control()

        def complete():
            records = control.replay_all("accepted")
            return sum(map(is_order, records)) == sum(record.source == SOURCE for record in records)

        weir.until(complete, "a reaction to each order")

    def check(self, station):
        """One reaction to each order, in their order; ids have no hole (replay_all sees to that)."""
        records = station.control().replay_all("accepted")
        orders = [record for record in records if is_order(record)]
        reactions = [record for record in records if record.source == SOURCE]
        self.assertEqual([record.sequence for record in reactions], list(range(1, len(orders) + 1)))
        self.assertEqual(
            [(record.event[4]["event_id"], record.event[2]) for record in reactions],
            [(order.event_id, order.event[2]) for order in orders],
        )
        for order, reaction in zip(orders, reactions):
            self.assertGreater(reaction.event_id, order.event_id)
        print(f"{len(records)} events, among them {len(orders)} orders and a reaction to each")

    def test_reacts_once_to_each_order_while_others_submit(self):
        with weir.Station() as station:
            station.start_processor()
            self.start_reactor(station)
            traffic = self.generate(station, rate=10_000)
            honest = station.source("honest")
            while traffic.running():
                self.assertEqual(honest.submit([weir.event()] * 10), {})
            self.assertEqual(traffic.wait(), 0)
            self.await_last(station)
            self.check(station)

    def test_a_killed_reactor_goes_on_where_it_was(self):
        with weir.Station() as station:
            station.start_processor()
            feed = station.feed("accepted")
            reactor = self.start_reactor(station)
            traffic = self.generate(station)
            for _ in range(3):
                self.await_reactions(station, feed, 300)
                reactor.kill()
                reactor = self.start_reactor(station)
            self.assertEqual(traffic.wait(), 0)
            self.await_last(station)
            self.check(station)

    def test_refused_reactions_are_verdicts_too(self):
        with weir.Station(limits=['"payments";q=10;w=3600;match=payment.requested;pk=source']) as station:
            station.start_processor()
            self.assertEqual(self.generate(station).wait(), 0)
            orders = sum(map(is_order, station.control().replay_all("accepted")))
            reactor = self.start_reactor(station, orders)
            reactor.expected_exits = {0}
            self.assertEqual(reactor.wait(), 0)
            self.assertEqual(reactor.out_text(), f"{orders} reactions\n")
            rejected = station.control().replay_all("rejected")
            self.assertEqual(sum(record.count for record in rejected), orders - 10)


if __name__ == "__main__":
    weir.main()
