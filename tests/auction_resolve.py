#!/usr/bin/env python3
"""The auction a second time: RULES.md A-07 to A-16, A-18, A-19, A-21 to A-23, from the rules and not from the code.

    tests/auction_resolve.py tests/vectors/auction     checks every vector file of the folder
    tests/auction_resolve.py --case CASE.json          resolves one case as `lockstep auction resolve` does

Python 3, standard library only. Exit 0 when everything agrees, 1 with the first difference, 2 when a file is no vector.
"""
import hashlib
import json
import pathlib
import sys

AMOUNT_END = 1 << 96


def amount(text):
    value = int(text)
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and value < AMOUNT_END):
        raise ValueError(f"no amount: {text!r}")
    return value


def tie_key(beacon, bidder):
    """A-13."""
    return hashlib.sha256(b"lockstep/tie/v1" + bytes.fromhex(beacon[2:]) + bytes.fromhex(bidder[2:])).digest()


def resolve(case):
    """One auction: winner, price, and what became of each bid, in the order given."""
    bids, reserve = case["bids"], amount(case["reserve"])
    fee, fine = amount(case.get("bid_fee", "0")), amount(case.get("garbage_fine", "0"))
    of = {}
    for bid in bids:
        of.setdefault(bid["bidder"].lower(), []).append(bid["seq"])
    equivocators = sorted(bidder for bidder, seqs in of.items() if len(set(seqs)) < len(seqs))

    verdicts, valid = [], []
    for at, bid in enumerate(bids):
        bidder = bid["bidder"].lower()
        if bidder in equivocators:
            verdict = "EQUIVOCATION"
        elif bid["seq"] < max(of[bidder]):
            verdict = "SUPERSEDED"
        elif bid["amount"] is None:
            verdict = "GARBAGE"
        elif amount(bid["amount"]) > amount(bid["cap"]):
            verdict = "ABOVE_CAP"
        elif amount(bid["amount"]) < reserve:
            verdict = "RESERVE_PRICE_NOT_MET"
        else:
            verdict = "OUTBID"
            valid.append((-amount(bid["amount"]), tie_key(case["beacon"], bidder), at))
        verdicts.append(verdict)

    winner, price = None, 0
    if valid:
        best = min(valid)
        valid.remove(best)
        verdicts[best[2]] = "WINNER"
        winner = bids[best[2]]["bidder"].lower()
        if case.get("pricing", "second") == "first":
            price = -best[0]
        else:
            price = max([reserve] + [-other[0] for other in valid])

    def judged(bid, verdict):
        opened = verdict not in ("SUPERSEDED", "EQUIVOCATION")
        return {
            "bidder": bid["bidder"].lower(),
            "seq": bid["seq"],
            "valid": verdict in ("WINNER", "OUTBID"),
            "reason": verdict,
            "fee": str(fee if opened else 0),
            "fine": str(fine if verdict in ("GARBAGE", "ABOVE_CAP") else 0),
            "price": str(price if verdict == "WINNER" else 0),
        }

    return {
        "winner": winner,
        "price": str(price),
        "equivocators": equivocators,
        "bids": [judged(bid, verdict) for bid, verdict in zip(bids, verdicts)],
    }


def reserve(case):
    """A-18, A-19: averages and reserves, epoch by epoch."""
    floor, slots = amount(case["reserve_floor"]), case["epoch_slots"]
    ema, averages, reserves = 2 * floor, [], []
    for prices in case["prices"]:
        ema = (7 * ema + int(prices) // slots) // 8
        averages.append(str(ema))
        reserves.append(str(max(floor, ema // 2)))
    return {"averages": averages, "reserves": reserves}


def split(case):
    """A-21."""
    price = amount(case["price"])
    committee = price * case["committee_bps"] // 10_000
    rollups = price * case["rollups_bps"] // 10_000
    return {"committee": str(committee), "rollups": str(rollups), "users": str(price - committee - rollups)}


def rebates(case):
    """A-22."""
    pool, fees = amount(case["pool"]), [amount(fee["fee"]) for fee in case["fees"]]
    rebate = min(pool, sum(fees) * case["kappa_bps"] // 10_000)
    part = lambda fee, of: 0 if of["failed"] or not sum(fees) else rebate * fee // sum(fees)
    shares = [part(fee, of) for fee, of in zip(fees, case["fees"])]
    return {"shares": [str(share) for share in shares], "left": str(pool - sum(shares))}


def weights(case):
    """A-23."""
    pool, of = amount(case["pool"]), case["weights"]
    shares = [pool * weight // sum(of) if sum(of) else 0 for weight in of]
    return {"shares": [str(share) for share in shares], "left": str(pool - sum(shares))}


CHECKS = {
    "resolve.json": resolve,
    "reserve.json": reserve,
    "split.json": split,
    "rebates.json": rebates,
    "weights.json": weights,
}


def check(folder):
    names = sorted(path.name for path in folder.iterdir() if path.name != "ORIGIN")
    if names != sorted(CHECKS):
        print(f"{folder}: {names}, and this program reads {sorted(CHECKS)}")
        return 2
    count = 0
    for name in names:
        for case in json.loads((folder / name).read_text()):
            got = CHECKS[name](case["case"])
            if got != case["outcome"]:
                print(f"{name}: {case['name']}\n  file   {case['outcome']}\n  python {got}")
                return 1
            count += 1
    print(f"{count} cases of {len(names)} files agree")
    return 0


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--case":
        print(json.dumps(resolve(json.loads(pathlib.Path(arguments[1]).read_text())), indent=2))
        return 0
    if len(arguments) == 1:
        return check(pathlib.Path(arguments[0]))
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
