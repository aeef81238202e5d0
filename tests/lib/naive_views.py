"""The built-in views as docs/protocol.md describes them, folded anew for each question.

The policy is one, named POLICY, with the subject as its key.
"""

import collections

POLICY = "per-subject"
VIEWS = ["inventory_levels", "limits", "order_counts", "revenue", "user_activity"]


class Oracle:
    def __init__(self, accepted, rejected):
        self.accepted, self.rejected = accepted, rejected

    def at_event(self, event_id):
        return self.rows(
            self.accepted[:event_id], [r for r in self.rejected if r.after_event_id < event_id]
        )

    def at_time(self, time_ns):
        return self.rows(
            [r for r in self.accepted if r.accepted_at <= time_ns],
            [r for r in self.rejected if r.rejected_at <= time_ns],
        )

    def rows(self, accepted, rejected):
        orders, revenue = collections.Counter(), collections.Counter()
        users, stock, limits = {}, {}, {}
        for record in accepted:
            _, type_, subject, _, data = record.event[:5]
            category, _, what = type_.partition(".")
            if category == "order":
                orders[data.get("status", "unknown")] += 1
            if category == "user":
                count, _ = users.get(subject, (0, ""))
                users[subject] = (count + 1, what)
            if type_ == "inventory.stock_added":
                stock[subject] = stock.get(subject, 0) + data["quantity"]
            if type_ == "inventory.stock_removed":
                stock[subject] = max(0, stock.get(subject, 0) - data["quantity"])
            if type_ == "order.confirmed" and "currency" in data and "amount_minor" in data:
                revenue[data["currency"]] += data["amount_minor"]
            used, refused, last = limits.get(subject, (0, 0, None))
            limits[subject] = (used + 1, refused, last)
        for record in rejected:
            if record.reason == "rate_limited" and record.key is not None:  # None: summed up by reason alone
                used, refused, _ = limits.get(record.key, (0, 0, None))
                limits[record.key] = (used, refused + record.count, record.rejected_at)
        position = (
            len(accepted), len(rejected),
            max([0] + [r.accepted_at for r in accepted[-1:]] + [r.rejected_at for r in rejected[-1:]]),
        )
        return position, {
            "order_counts": [{"status": k, "count": orders[k]} for k in sorted(orders)],
            "revenue": [{"currency": k, "total_minor": revenue[k]} for k in sorted(revenue)],
            "user_activity": [
                {"user": k, "event_count": users[k][0], "last_event": users[k][1]} for k in sorted(users)
            ],
            "inventory_levels": [{"product": k, "quantity": stock[k]} for k in sorted(stock)],
            "limits": [
                {"policy": POLICY, "key": k, "accepted": v[0], "refused": v[1], "last_refused_at": v[2]}
                for k, v in sorted(limits.items())
            ],
        }
