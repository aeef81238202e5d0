"""The oracle of exact windows: docs/protocol.md once more, the slow and plain way, over what is
published: all (time, cost) of the last window per policy and key.
"""

import collections
import configparser
import fnmatch
import re

MS = 1_000_000

Policy = collections.namedtuple("Policy", "name match key quota window_ns cost mode", defaults=("enforce",))
UNITS = {"ns": 1, "us": 1000, "ms": MS, "s": 1000 * MS, "m": 60_000 * MS, "h": 3_600_000 * MS, "d": 86_400_000 * MS}

# Each set: policies with different keys, fixed and weighted costs, windows that many events cross.
POLICY_SETS = [
    [
        Policy("per-subject", "*", "subject", 5, 50 * MS, 1),
        Policy("per-source", "*", "source", 90, 200 * MS, "data.units"),
        Policy("per-tenant", "order.*", "data.tenant", 40, 100 * MS, "data.units"),
    ],
    [
        Policy("edge", "*", "subject", 3, 1, 1),
        Policy("tenant", "*", "data.card.tenant", 30, 150 * MS, "data.units"),
        Policy("source-hourly", "*", "source", 220, 3600 * 1000 * MS, 1),
    ],
    [
        Policy("per-type", "*.created", "type", 24, 20 * MS, 2),
        Policy("everyone", "*", "global", 400, 100 * MS, "data.units"),
        Policy("per-subject", "user.*", "subject", 4, 75 * MS, 1),
    ],
]


def policy_text(policies):
    return "".join(
        f'[policy "{p.name}"]\nmatch = {p.match}\nkey = {p.key}\nquota = {p.quota}\n'
        f"window = {p.window_ns}ns\ncost = {p.cost}\nmode = {p.mode}\n"
        for p in policies
    )


def policies_of(text):
    """The policies of a canonical INI text."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    policies = []
    for section in parser.sections():
        values = parser[section]
        number, unit = re.fullmatch(r"(\d+)([a-z]+)", values["window"]).groups()
        cost = values["cost"]
        policies.append(Policy(
            section[len('policy "'):-1], values["match"], values["key"], int(values["quota"]),
            int(number) * UNITS[unit], int(cost) if cost.isdigit() else cost, values["mode"],
        ))
    return policies


def at_path(data, path):
    for step in path.split(".")[1:]:
        data = data[step]
    return data


def key_of(policy, source, event):
    _, type_, subject, _, data = event[:5]
    fixed = {"source": source, "subject": subject, "type": type_, "global": "global"}
    return fixed[policy.key] if policy.key in fixed else at_path(data, policy.key)


def cost_of(policy, event):
    return policy.cost if isinstance(policy.cost, int) else at_path(event[4], policy.cost)


class Oracle:
    """Sliding windows, the slow and plain way: all (time, cost) of the last window per key."""

    def __init__(self, policies):
        self.policies = policies
        self.windows = collections.defaultdict(collections.deque)
        self.history = []  # (time, source, event) of all that was accepted

    def change(self, text, now):
        """Other policies: a new one counts what was accepted before it, in its window."""
        before, self.policies = self.policies, policies_of(text)
        for policy in before:
            if policy not in self.policies:
                for window in [at for at in self.windows if at[0] == policy.name]:
                    del self.windows[window]
        for policy in self.policies:
            if policy not in before:
                self.fill(policy, now)

    def fill(self, policy, now):
        first = len(self.history)
        while first > 0 and self.history[first - 1][0] > now - policy.window_ns:
            first -= 1
        for time, source, event in self.history[first:]:
            self.enter(policy, source, event, time)

    def charges(self, source, event):
        return [
            (policy, key_of(policy, source, event), cost_of(policy, event))
            for policy in self.policies
            if fnmatch.fnmatchcase(event[1], policy.match)
        ]

    def wait(self, policy, key, cost, now):
        """ns until `cost` fits; 0: fits now; None: never."""
        if cost > policy.quota:
            return None
        if cost == 0:
            return 0
        window = self.windows[policy.name, key]
        while window and window[0][0] <= now - policy.window_ns:
            window.popleft()
        over = sum(spent for _, spent in window) + cost - policy.quota
        wait = 0
        for stamp, spent in window:
            if over <= 0:
                break
            over -= spent
            wait = stamp + policy.window_ns - now
        return wait

    def verdict(self, source, event, now):
        """None when it fits; else (policy, key, wait) of the longest wait, first in the file."""
        worst = None
        for policy, key, cost in self.charges(source, event):
            if policy.mode == "shadow":
                continue
            wait = self.wait(policy, key, cost, now)
            if wait == 0:
                continue
            longer = worst is None or (
                worst[2] is not None and (wait is None or wait > worst[2])
            )
            if longer:
                worst = (policy.name, key, wait)
        return worst

    def spend(self, source, event, now):
        self.history.append((now, source, event))
        for policy in self.policies:
            self.enter(policy, source, event, now)

    def enter(self, policy, source, event, now):
        if event[1].startswith("weir.") or not fnmatch.fnmatchcase(event[1], policy.match):
            return
        cost = cost_of(policy, event)
        if cost:
            self.windows[policy.name, key_of(policy, source, event)].append((now, cost))


def check_log(policies, accepted, rejected, hint=""):
    """Decides every event of a log again, under the policies in force then (`policies` at first): nothing over quota, nothing refused that would have fitted,
    and every refusal with its policy, key and wait. Raises AssertionError at the first difference."""
    oracle = Oracle(policies)
    refusals = collections.defaultdict(list)
    for record in rejected:
        assert record.count == 1, f"a summary: too fast for the oracle {hint}"
        refusals[record.after_event_id].append(record)
    time_ns = 0
    for position in range(len(accepted) + 1):
        if position:
            record = accepted[position - 1]
            assert record.event_id == position, record
            assert record.accepted_at >= time_ns, record
            time_ns = record.accepted_at
            if record.source == "weir" and record.event[1] == "weir.policy_changed":
                oracle.change(record.event[4]["text"], time_ns)
            else:
                verdict = oracle.verdict(record.source, record.event, time_ns)
                assert verdict is None, f"over quota {hint}: {record}"
                oracle.spend(record.source, record.event, time_ns)
        for record in refusals[position]:
            if record.reason == "shadow":
                continue  # a report: the event stands elsewhere with its verdict
            assert record.reason == "rate_limited", record
            assert record.rejected_at >= time_ns, record
            verdict = oracle.verdict(record.source, record.evidence, record.rejected_at)
            told = (record.policy, record.key, record.retry_after)
            assert verdict == told, f"refusal differs {hint}: {verdict} {record}"
            time_ns = record.rejected_at
